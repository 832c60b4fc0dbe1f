package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/homeserver"
)

// probeHomeserver is a homeserver that makes and removes pushers and rooms. Its answers are those of Synapse 1.163.2. Users are their
// tokens.
type probeHomeserver struct {
	*httptest.Server

	mu sync.Mutex
	// fails decides about each request, before it is handled and again before it is answered. If it returns true, the request fails.
	fails func(step string, handled bool) bool
	// notify is called when the homeserver would send a notification to a pusher.
	notify  func(url, pushkey string)
	pushers map[string]string   // URLs by pushkey
	members map[string][]string // of the rooms
	invited map[string][]string
	knows   map[string][]string // who has not forgotten a room
	events  int
	steps   []string
}

func newProbeHomeserver(t *testing.T) *probeHomeserver {
	t.Helper()
	h := &probeHomeserver{
		fails: func(string, bool) bool { return false }, pushers: make(map[string]string), members: make(map[string][]string),
		invited: make(map[string][]string), knows: make(map[string][]string),
	}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *probeHomeserver) user(t *testing.T, token string) *homeserver.Client {
	t.Helper()
	c, err := homeserver.New(h.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// step names a request by the last fixed part of its path.
func step(r *http.Request) string {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/_matrix/client/"), "/")
	for i, part := range slices.Backward(parts) {
		if slices.Contains([]string{"versions", "set", "createRoom", "send", "receipt", "join", "leave", "forget"}, part) {
			return parts[i]
		}
	}
	return r.URL.Path
}

func (h *probeHomeserver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := step(r)
	if name != "versions" {
		h.steps = append(h.steps, name)
	}
	if h.fails(name, false) {
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"errcode":"M_LIMIT_EXCEEDED","error":"Too Many Requests","retry_after_ms":1}`)
		return
	}
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	status, answer := h.handle(name, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), r.URL.Path, body)
	if h.fails(name, true) {
		panic(http.ErrAbortHandler) // the answer is lost
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func (h *probeHomeserver) handle(name, user, path string, body map[string]any) (int, any) {
	room := roomIn(path)
	switch name {
	case "versions":
		return 200, map[string]any{"versions": []string{"v1.15"}}
	case "set":
		return h.set(body)
	case "createRoom":
		room = fmt.Sprintf("!room%d:hs.test", len(h.members))
		h.members[room], h.knows[room] = []string{user}, []string{user}
		if list, ok := body["invite"].([]any); ok {
			h.invited[room] = append(h.invited[room], fmt.Sprint(list...))
		}
		return 200, map[string]any{"room_id": room}
	case "join":
		if !slices.Contains(h.invited[room], user) {
			return forbidden()
		}
		h.members[room], h.knows[room] = append(h.members[room], user), append(h.knows[room], user)
		return 200, map[string]any{"room_id": room}
	case "forget":
		if slices.Contains(h.members[room], user) {
			return 400, map[string]any{"errcode": "M_UNKNOWN", "error": "User is still in the room"}
		}
		h.knows[room] = without(h.knows[room], user)
		return 200, map[string]any{}
	}
	if !slices.Contains(h.members[room], user) {
		return forbidden()
	}
	switch name {
	case "send":
		h.events++
		if len(h.members[room]) > 1 {
			h.push()
		}
		return 200, map[string]any{"event_id": fmt.Sprintf("$event%d", h.events)}
	case "receipt":
		h.push()
	case "leave":
		h.members[room] = without(h.members[room], user)
	}
	return 200, map[string]any{}
}

func (h *probeHomeserver) set(pusher map[string]any) (int, any) {
	pushkey, _ := pusher["pushkey"].(string)
	needed := []string{"kind", "app_id", "pushkey"}
	if pusher["kind"] != nil {
		needed = append(needed, "app_display_name", "device_display_name", "lang", "data")
	}
	for _, member := range needed {
		if _, ok := pusher[member]; !ok {
			return 400, map[string]any{"errcode": "M_MISSING_PARAM", "error": "Missing parameters: " + member}
		}
	}
	if pusher["kind"] == nil {
		delete(h.pushers, pushkey)
		return 200, map[string]any{}
	}
	data, _ := pusher["data"].(map[string]any)
	h.pushers[pushkey], _ = data["url"].(string)
	return 200, map[string]any{}
}

func (h *probeHomeserver) push() {
	for pushkey, address := range h.pushers {
		if h.notify != nil {
			h.notify(address, pushkey)
		}
	}
}

func forbidden() (int, any) {
	return 403, map[string]any{"errcode": "M_FORBIDDEN", "error": "User is not in the room"}
}

// roomIn returns the room in a path.
func roomIn(path string) string {
	for part := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(part, "!") {
			return part
		}
	}
	return ""
}

func without(list []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(other string) bool { return other == name })
}

// wantClean wants that the homeserver has neither a pusher nor a room of the probe.
func (h *probeHomeserver) wantClean(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pushers) > 0 {
		t.Errorf("pushers are left: %v", h.pushers)
	}
	for room, members := range h.members {
		if len(members) > 0 || len(h.knows[room]) > 0 {
			t.Errorf("the room %s is left: %q are members, and %q know it", room, members, h.knows[room])
		}
	}
}

// probeGateways is this gateway and others of its group. The request of doctor arrives at the gateway that lead names.
type probeGateways struct {
	*httptest.Server

	mu   sync.Mutex
	lead string // "this", "group", "stranger", "server" or "nobody"
	made int
	seen map[string]map[string]*gateway.Sightings // by gateway and pushkey
}

func newProbeGateways(t *testing.T, lead string) *probeGateways {
	t.Helper()
	g := &probeGateways{lead: lead, seen: map[string]map[string]*gateway.Sightings{"this": {}, "group": {}}}
	g.Server = httptest.NewTLSServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *probeGateways) Probe(context.Context) (*gateway.Probe, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.made++
	return &gateway.Probe{AppID: gateway.ProbeAppID, Pushkey: fmt.Sprintf("nonce%d", g.made), Expires: time.Now().Add(time.Minute)}, nil
}

func (g *probeGateways) Seen(_ context.Context, pushkey string) (*gateway.Sightings, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := *g.of("this", pushkey)
	return &seen, nil
}

// of needs the lock.
func (g *probeGateways) of(name, pushkey string) *gateway.Sightings {
	if g.seen[name][pushkey] == nil {
		g.seen[name][pushkey] = new(gateway.Sightings)
	}
	return g.seen[name][pushkey]
}

// arrives notes a homeserver's notification at a gateway.
func (g *probeGateways) arrives(name, pushkey string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of(name, pushkey).Homeserver = &gateway.Sighting{At: time.Now(), From: "203.0.113.7", Site: "push.example.org on :443", TLS: "TLS 1.3"}
}

// ServeHTTP answers doctor's request.
func (g *probeGateways) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var body struct {
		Notification struct {
			Devices []struct {
				AppID   string          `json:"app_id"`
				Pushkey string          `json:"pushkey"`
				Data    map[string]bool `json:"data"`
			} `json:"devices"`
		} `json:"notification"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	d := body.Notification.Devices[0]
	switch {
	case g.lead == "nobody":
		panic(http.ErrAbortHandler)
	case g.lead == "server":
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<html>")
	case g.lead == "stranger", d.AppID != gateway.ProbeAppID, !d.Data[gateway.ProbeAppID]:
		_ = json.NewEncoder(w).Encode(map[string]any{"rejected": []string{d.Pushkey}})
	default:
		seen := g.of(g.lead, d.Pushkey)
		seen.Doctor = &gateway.Sighting{At: time.Now(), From: "192.0.2.1"}
		_ = json.NewEncoder(w).Encode(map[string]any{"rejected": []string{}, gateway.ProbeAppID: seen})
	}
}
