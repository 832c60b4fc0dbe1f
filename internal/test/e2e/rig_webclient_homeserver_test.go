package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// clientServer is a homeserver with one user, for the web client. It has the part of the client-server API that the client needs, is strict
// about requests, and sends events to the pushers that it has.
type clientServer struct {
	*httptest.Server
	t              *testing.T
	user, password string

	mu sync.Mutex
	// token and deviceID are those of the session; the token is empty if the user is signed out.
	token, deviceID string
	pushers         []map[string]any
	sets            []map[string]any // the bodies of all requests about pushers
	// answers are programmed answers by method and path, in their order. Each is given once.
	answers map[string][]refusal
}

// refusal is an answer that is not a success, with what a homeserver says beside the error.
type refusal struct {
	status int
	code   string
	more   map[string]any
}

func newClientServer(t *testing.T) *clientServer {
	t.Helper()
	hs := &clientServer{t: t, user: "bob", password: rand.Text(), answers: make(map[string][]refusal)}
	canaries.note(aCredential, hs.password)
	mux := http.NewServeMux()
	const v3 = "/_matrix/client/v3"
	mux.HandleFunc("GET /_matrix/client/versions", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"versions": []string{"v1.12"}}) })
	mux.HandleFunc("GET "+v3+"/login", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"flows": []any{map[string]any{"type": "m.login.sso"}, map[string]any{"type": "m.login.password"}}})
	})
	mux.HandleFunc("POST "+v3+"/login", hs.reads(hs.logIn))
	mux.HandleFunc("GET "+v3+"/account/whoami", hs.authorized(hs.whoami))
	mux.HandleFunc("GET "+v3+"/pushers", hs.authorized(hs.listPushers))
	mux.HandleFunc("POST "+v3+"/pushers/set", hs.authorized(hs.reads(hs.setPusher)))
	mux.HandleFunc("POST "+v3+"/logout", hs.authorized(hs.reads(hs.logOut)))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the homeserver does not know %s %s", r.Method, r.URL.Path)
		refuse(w, http.StatusNotFound, "M_UNRECOGNIZED")
	})
	hs.Server = httptest.NewServer(hs.forPages(mux))
	t.Cleanup(hs.Close)
	return hs
}

// forPages lets any page use the server (https://spec.matrix.org/latest/client-server-api/#web-browser-clients), and gives programmed
// answers.
func (hs *clientServer) forPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS")
		w.Header().Set("Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization")
		if r.Method == http.MethodOptions {
			return
		}
		if r.Header.Get("Cookie") != "" || r.Header.Get("Referer") != "" {
			hs.t.Errorf("%s has a cookie, or names the page", r.URL.Path)
		}
		key := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/_matrix/client/v3")
		hs.mu.Lock()
		programmed := hs.answers[key]
		if len(programmed) > 0 {
			hs.answers[key] = programmed[1:]
		}
		hs.mu.Unlock()
		if len(programmed) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		programmed[0].give(w)
	})
}

// program programs answers to requests with a method and a path below /_matrix/client/v3. Other paths begin with /_matrix.
func (hs *clientServer) program(request string, answers ...refusal) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.answers[request] = answers
}

func (r refusal) give(w http.ResponseWriter) {
	body := map[string]any{}
	if r.code != "" {
		body["errcode"], body["error"] = r.code, "The reason of the homeserver"
	}
	maps.Copy(body, r.more)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, code string) { refusal{status, code, nil}.give(w) }

func answer(w http.ResponseWriter, body map[string]any) { refusal{http.StatusOK, "", body}.give(w) }

// reads reads the body, which must be a JSON object. The handler returns the answer, and is called with the lock held.
func (hs *clientServer) reads(handle func(body map[string]any) refusal) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Content-Type") != "application/json" {
			hs.t.Errorf("%s: not a JSON object: %v", r.URL.Path, err)
		}
		hs.mu.Lock()
		answer := handle(body)
		hs.mu.Unlock()
		answer.give(w)
	}
}

// authorized lets only requests with the session's token pass.
func (hs *clientServer) authorized(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, _ := hs.session()
		switch sent, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); {
		case !ok:
			refuse(w, http.StatusUnauthorized, "M_MISSING_TOKEN")
		case token == "" || sent != token:
			refuse(w, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		default:
			next(w, r)
		}
	}
}

// success is an answer without more than its members.
func success(members map[string]any) refusal { return refusal{http.StatusOK, "", members} }

// logIn follows https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3login.
func (hs *clientServer) logIn(body map[string]any) refusal {
	identifier, _ := body["identifier"].(map[string]any)
	user, _ := identifier["user"].(string)
	if body["type"] != "m.login.password" || identifier["type"] != "m.id.user" || body["initial_device_display_name"] == "" {
		hs.t.Error("the body of a login is not what the specification asks for")
	}
	if user != hs.user && user != hs.userID() || body["password"] != hs.password {
		return refusal{http.StatusForbidden, "M_FORBIDDEN", map[string]any{"error": "Invalid username or password"}}
	}
	if id, ok := body["device_id"].(string); ok {
		hs.deviceID = id
	} else {
		hs.deviceID = strings.ToUpper(rand.Text()[:10])
	}
	return success(map[string]any{"user_id": hs.userID(), "access_token": hs.begin(), "device_id": hs.deviceID})
}

// begin begins a session, and returns its token. The lock is held.
func (hs *clientServer) begin() (token string) {
	hs.token = rand.Text()
	canaries.note(aToken, hs.token)
	return hs.token
}

// newToken returns the token of a session that another client has begun.
func (hs *clientServer) newToken() string {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.deviceID = "OTHERCLIENT"
	return hs.begin()
}

// change changes the user or what the homeserver has stored.
func (hs *clientServer) change(work func()) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	work()
}

func (hs *clientServer) userID() string { return "@" + hs.user + ":hs.test" }

// logOut ends the session, and with it the pushers.
func (hs *clientServer) logOut(map[string]any) refusal {
	hs.token, hs.pushers = "", nil
	return success(nil)
}

// expire ends the session's token. With soft, the session goes on when the user signs in again.
func (hs *clientServer) expire(soft bool) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.token = ""; !soft {
		hs.pushers, hs.deviceID = nil, ""
	}
}

// session returns the session's token, which is empty if the user is signed out, and its device.
func (hs *clientServer) session() (token, deviceID string) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.token, hs.deviceID
}

// requests returns the bodies of all requests about pushers, oldest first.
func (hs *clientServer) requests() []map[string]any {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return slices.Clone(hs.sets)
}

func (hs *clientServer) whoami(w http.ResponseWriter, _ *http.Request) {
	_, deviceID := hs.session()
	answer(w, map[string]any{"user_id": hs.userID(), "device_id": deviceID})
}

func (hs *clientServer) listPushers(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"pushers": hs.registered()})
}

// registered returns the user's pushers.
func (hs *clientServer) registered() []map[string]any {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return slices.Clone(hs.pushers)
}

// setPusher follows https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3pushersset.
func (hs *clientServer) setPusher(body map[string]any) refusal {
	hs.sets = append(hs.sets, body)
	canaries.sent(mustMarshal(body))
	if err := checkPusher(body); err != nil {
		hs.t.Errorf("a pusher that the specification does not allow: %v", err)
		return refusal{http.StatusBadRequest, "M_INVALID_PARAM", nil}
	}
	hs.remove(body["app_id"], body["pushkey"])
	if body["kind"] != nil {
		hs.pushers = append(hs.pushers, body)
	}
	return success(nil)
}

func (hs *clientServer) remove(appID, pushkey any) {
	hs.pushers = slices.DeleteFunc(hs.pushers, func(p map[string]any) bool { return p["app_id"] == appID && p["pushkey"] == pushkey })
}

// checkPusher checks what the specification and Synapse demand of a pusher.
func checkPusher(body map[string]any) error {
	appID, _ := body["app_id"].(string)
	pushkey, _ := body["pushkey"].(string)
	if appID == "" || len(appID) > 64 || pushkey == "" || len(pushkey) > 512 {
		return fmt.Errorf("app_id or pushkey is missing or too long")
	}
	if kind, ok := body["kind"]; !ok || kind != nil && kind != "http" {
		return fmt.Errorf("kind is neither http nor null")
	}
	if body["kind"] == nil {
		return nil
	}
	for _, member := range []string{"app_display_name", "device_display_name", "lang"} {
		if text, ok := body[member].(string); !ok || text == "" {
			return fmt.Errorf("there is no %s", member)
		}
	}
	data, _ := body["data"].(map[string]any)
	if url, _ := data["url"].(string); !strings.HasSuffix(url, "/_matrix/push/v1/notify") {
		return fmt.Errorf("data has no url of a gateway")
	}
	return nil
}

// notify sends a notification to the user's pushers, with the gateway's answer as a homeserver understands it.
func (hs *clientServer) notify(gateway *homeserver, notification map[string]any) {
	hs.t.Helper()
	for _, p := range hs.registered() {
		data := maps.Clone(p["data"].(map[string]any))
		gateway.url = data["url"].(string)
		delete(data, "url")
		r := gateway.notify(compose(maps.Clone(notification), []device{{AppID: p["app_id"].(string), Pushkey: p["pushkey"].(string), PushkeyTS: at(1_700_000_000), Data: data}}))
		if r.Status != http.StatusOK {
			hs.t.Errorf("the gateway answers %d %s", r.Status, r.Body)
		}
		hs.mu.Lock()
		for _, pushkey := range r.Rejected {
			hs.remove(p["app_id"], pushkey)
		}
		hs.mu.Unlock()
	}
}
