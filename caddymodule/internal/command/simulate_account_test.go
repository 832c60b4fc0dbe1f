package command

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

const accessToken = "syt_CANARY_f00d"

// fakeHomeserver is a homeserver with one user, whose answers are those of Synapse 1.163.2.
type fakeHomeserver struct {
	*httptest.Server
	// answers are by path below /_matrix/client, without the query.
	answers map[string]string
	server  string
}

func newHomeserver(t *testing.T) *fakeHomeserver {
	t.Helper()
	rules, err := os.ReadFile("testdata/simulate/rules.json")
	if err != nil {
		t.Fatal(err)
	}
	const room = "/v3/rooms/!group:hs.test"
	a := &fakeHomeserver{server: "Synapse/1.163.2", answers: map[string]string{
		"/versions":          `{"versions":["r0.6.1","v1.1","v1.15"],"unstable_features":{"org.matrix.msc4028":false}}`,
		"/v3/account/whoami": `{"user_id":"@alice:hs.test","is_guest":false,"device_id":"ABC"}`,
		"/v3/pushrules/":     string(rules),
		"/v3/pushers":        `{"pushers":[` + aPusher("org.example.ios", "http", iosData) + `]}`,
		room + "/event/$ev": `{"type":"m.room.message","sender":"@bob:hs.test",` +
			`"content":{"body":"all","m.mentions":{"room":true},"msgtype":"m.text"},` +
			`"origin_server_ts":1773489600000,"unsigned":{"age":5},"event_id":"$ev","room_id":"!group:hs.test","user_id":"@bob:hs.test","age":5}`,
		room + "/joined_members": `{"joined":{"@alice:hs.test":{"avatar_url":null,"display_name":"Alice"},` +
			`"@bob:hs.test":{"avatar_url":null,"display_name":"Bob"},` +
			`"@carol:hs.test":{"avatar_url":null,"display_name":"Carol"}}}`,
		room + "/state/m.room.member/@alice:hs.test": aState("m.room.member", `{"displayname":"Alice","membership":"join"}`),
		room + "/state/m.room.member/@bob:hs.test":   aState("m.room.member", `{"displayname":"Bob","membership":"join"}`),
		room + "/state/m.room.create/":               aState("m.room.create", `{"room_version":"12"}`),
		room + "/state/m.room.power_levels/":         aState("m.room.power_levels", `{"users":{},"notifications":{"room":101}}`),
		room + "/state/m.room.name/":                 aState("m.room.name", `{"name":"Tea"}`),
	}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

const iosData = `{"url":"https://push.hs.test/_matrix/push/v1/notify",` +
	`"format":"event_id_only","default_payload":{"aps":{"mutable-content":1}}}`

func aState(eventType, content string) string {
	return `{"type":"` + eventType + `","sender":"@bob:hs.test","content":` + content + `,` +
		`"state_key":"","event_id":"$s","room_id":"!group:hs.test"}`
}

func aPusher(appID, kind, data string) string {
	return `{"pushkey":"` + canary + `","kind":"` + kind + `","app_id":"` + appID + `",` +
		`"app_display_name":"App","device_display_name":"phone","profile_tag":"","lang":"en","data":` + data + `}`
}

func (a *fakeHomeserver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/_matrix/client")
	w.Header().Set("Server", a.server)
	w.Header().Set("Content-Type", "application/json")
	fail := func(status int, body string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
	answer, ok := a.answers[path]
	switch {
	case path != "/versions" && r.Header.Get("Authorization") != "Bearer "+accessToken:
		fail(http.StatusUnauthorized, `{"errcode":"M_UNKNOWN_TOKEN","error":"Invalid access token passed.","soft_logout":false}`)
	case strings.Contains(path, "/rooms/!other"):
		fail(http.StatusForbidden, `{"errcode":"M_FORBIDDEN","error":"User @alice:hs.test not in room !other:hs.test"}`)
	case !ok && strings.Contains(path, "/account_data/"):
		fail(http.StatusNotFound, `{"errcode":"M_NOT_FOUND","error":"Account data not found"}`)
	case !ok && strings.Contains(path, "/rooms/"):
		fail(http.StatusNotFound, `{"errcode":"M_NOT_FOUND","error":"Event not found."}`)
	case !ok:
		fail(http.StatusNotFound, `{"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}`)
	default:
		_, _ = io.WriteString(w, answer)
	}
}

// simulate runs the command with the account's token.
func (a *fakeHomeserver) simulate(t *testing.T, args ...string) ran {
	t.Helper()
	args = append([]string{"simulate", "--homeserver", a.URL, "--token", "-"}, args...)
	r := world{stdin: accessToken + "\n"}.run(t, args...)
	if strings.Contains(r.out+r.err, accessToken) {
		t.Errorf("the token is printed:\n%s%s", r.out, r.err)
	}
	r.out = strings.ReplaceAll(r.out, a.URL, "https://matrix.hs.test")
	return r
}

func TestSimulateReadsAnEventAndItsRoomFromTheHomeserver(t *testing.T) {
	t.Parallel()
	a := newHomeserver(t)
	for name, args := range map[string][]string{
		"homeserver-event": {"--room", "!group:hs.test", "--event-id", "$ev", "--defaults", "synapse"},
		"homeserver-made":  {"--room", "!group:hs.test", "--text", "hello", "--sender", "@bob:hs.test"},
	} {
		r := a.simulate(t, args...)
		r.want(t, 0)
		golden(t, "simulate/"+name, r.out)
	}
	r := a.simulate(t, "--room", "!group:hs.test", "--text", "hello", "--members", "2", "--room-name", "Cake")
	r.want(t, 0, "2 members", `"room_name": "Cake"`)
	a.answers["/v3/user/@alice:hs.test/account_data/m.ignored_user_list"] = `{"ignored_users":{"@bob:hs.test":{}}}`
	a.simulate(t, "--text", "hello", "--sender", "@bob:hs.test").want(t, 0, "The user ignores the sender: no rule is tried.")
}

func TestSimulateTakesTheSoftwareThatTheHomeserverNames(t *testing.T) {
	t.Parallel()
	a := newHomeserver(t)
	for server, want := range map[string]string{
		"Synapse/1.163.2": "synapse", "Tuwunel/1.4.0": "tuwunel", "continuwuity/0.5": "continuwuity", "nginx": "synapse (assumed: --software sets another)", "": "synapse (assumed: --software sets another)",
	} {
		a.server = server
		a.simulate(t, "--text", "hello").want(t, 0, "Homeserver      "+want+"\n")
	}
	a.simulate(t, "--text", "hello", "--software", "dendrite").want(t, 0, "Homeserver      dendrite\n")
}

func TestSimulateSaysInOneSentenceWhyTheHomeserverDoesNotHelp(t *testing.T) {
	t.Parallel()
	a := newHomeserver(t)
	for want, args := range map[string][]string{
		"not in room !other:hs.test":                      {"--room", "!other:hs.test", "--text", "hello"},
		"(M_NOT_FOUND)":                                   {"--room", "!group:hs.test", "--event-id", "$gone"},
		`has no pusher with the app_id "org.example.web"`: {"--text", "hello", "--app-id", "org.example.web"},
	} {
		r := a.simulate(t, args...)
		if r.want(t, exitFailed, want); strings.Count(r.err, "\n") != 1 || r.out != "" {
			t.Errorf("prints %s%s", r.out, r.err)
		}
	}
	pushers := []string{aPusher("a", "http", "{}"), aPusher("a", "http", "{}"), aPusher("a", "email", "{}")}
	a.answers["/v3/pushers"] = `{"pushers":[` + strings.Join(pushers, ",") + `]}`
	a.simulate(t, "--text", "hello", "--app-id", "a").want(t, exitFailed, `has 2 pushers with the app_id "a": choose one with --pushkey-file`)
	r := world{stdin: "syt_wrong"}.run(t, "simulate", "--homeserver", a.URL, "--token-file", "-", "--text", "hello")
	r.want(t, exitFailed, "the access token is not valid", "M_UNKNOWN_TOKEN")
	a.answers["/v3/pushrules/"] = `[]`
	a.simulate(t, "--text", "hello").want(t, exitFailed, "the push rules that "+a.URL+" sends: the ruleset is not a JSON object")
}

// gatewayAnswer is what the admin API answers about an app of the provider apns.
const gatewayAnswer = `{"app":"org.example.ios","provider":"apns","pushkey_hash":"` + hashA + `","content":"event_id_only","withheld":[],` +
	`"requests":[{"method":"POST","url":"https://api.push.apple.com/3/device/…","headers":{"apns-priority":"10","apns-push-type":"alert"},` +
	`"body":"{\"aps\":{\"mutable-content\":1},\"event_id\":\"$simulated\"}","encrypted":false,"size":56,` +
	`"omitted":[],"shortened":[]}],"result":"sent","on_record":false}`

func TestSimulateShowsWhatTheAppMakesOfTheRequest(t *testing.T) {
	t.Parallel()
	a, gateway := newHomeserver(t), newAPI(t, map[string][]string{"preview": {gatewayAnswer}})
	args := []string{"--address", strings.TrimPrefix(gateway.URL, "http://"), "--app-id", "org.example.ios", "--text", "hello"}
	r := a.simulate(t, args...)
	r.want(t, 0)
	golden(t, "simulate/preview", r.out)
	r = a.simulate(t, append(args, "--json")...)
	r.want(t, 0)
	var got struct {
		Format   string
		Preview  json.RawMessage
		Requests map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Format != formatIDs || string(got.Preview) != gatewayAnswer {
		t.Errorf("got %s", r.out)
	}
	gateway.mu.Lock()
	defer gateway.mu.Unlock()
	for _, request := range gateway.requests {
		var body struct{ Notification map[string]any }
		if err := json.Unmarshal([]byte(strings.TrimPrefix(request, "POST preview ")), &body); err != nil {
			t.Fatal(err)
		}
		// The gateway adds its own text unless a member is null.
		if content, ok := body.Notification["content"]; content != nil || !ok || !strings.Contains(request, canary) {
			t.Errorf("the gateway is asked about %v", body.Notification)
		}
	}
}

// The pushkey of a Web Push subscription is public, and its endpoint and auth are the secrets.
func TestSimulateNeverShowsTheSecretsOfASubscription(t *testing.T) {
	t.Parallel()
	a, gateway := newHomeserver(t), newAPI(t, map[string][]string{"preview": {gatewayAnswer}})
	a.answers["/v3/pushers"] = `{"pushers":[` +
		aPusher("org.example.web", "http", `{"endpoint":"https://push.example.net/very-secret","auth":"very-secret","events_only":true}`) + `]}`
	for _, format := range []string{"--json=false", "--json"} {
		r := a.simulate(t, "--address", strings.TrimPrefix(gateway.URL, "http://"), "--app-id", "org.example.web", "--text", "hello", format)
		r.want(t, 0, "events_only")
		if strings.Contains(r.out+r.err, "very-secret") {
			t.Errorf("%s: prints %s", format, r.out)
		}
	}
	gateway.mu.Lock()
	defer gateway.mu.Unlock()
	for _, request := range gateway.requests {
		if !strings.Contains(request, "https://push.example.net/very-secret") {
			t.Errorf("the gateway is asked about %s", request)
		}
	}
}

func TestSimulateAsksNoGatewayIfNothingIsPushed(t *testing.T) {
	t.Parallel()
	gateway := newAPI(t, nil)
	const args = "simulate --rules testdata/simulate/rules.json --room !quiet:hs.test --type m.x --app-id a --pushkey a " + theUser
	r := world{}.ask(t, gateway, strings.Fields(args)...)
	r.want(t, 0, "no push, no count")
	gateway.want(t)
}

func TestSimulateShowsTheGatewaysError(t *testing.T) {
	t.Parallel()
	a := newHomeserver(t)
	gateway := newAPI(t, map[string][]string{"preview": {failing(http.StatusNotFound, `{"error":"no app serves \"org.example.ios\""}`)}})
	r := a.simulate(t, "--address", strings.TrimPrefix(gateway.URL, "http://"), "--app-id", "org.example.ios", "--text", "hello")
	if r.want(t, exitFailed, "no app serves"); r.out != "" {
		t.Errorf("prints %s", r.out)
	}
}
