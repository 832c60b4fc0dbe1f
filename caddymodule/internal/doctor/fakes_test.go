package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/homeserver"
	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// today is the current time in these tests.
var today = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

const (
	alice = "@alice:hs.test"
	// canary is a pushkey and a token that no report may contain.
	canary = "CANARY-f00d"
	hash   = "ab12cd34ef56ab12cd34ef56ab12cd34"
)

// scene is an account at a homeserver that answers as Synapse 1.163.2 does, and a gateway.
type scene struct {
	t *testing.T
	// pushers are the account's pushers, rules its push rules, and notifications its latest notifications.
	pushers, notifications []string
	rules                  map[string]any
	// refusals are the paths that the homeserver refuses.
	refusals []string
	// rooms has the state of rooms: name, and encryption.
	rooms  map[string]map[string]string
	server string
	// overview is the answer of the gateway about its apps, and explained about a device, by app_id.
	overview  string
	explained map[string]string
	sent      []Device
	// urls are answers of gateways, by host: a status and a body, or a failure. addresses are the hosts' addresses.
	urls      map[string]string
	addresses map[string]string
	asked     []string
}

const healthy = `{"status":"ready","degraded":[],"since":"2026-03-14T08:00:00Z","rejected":"file","outbox":"file","apps":[
	{"app":"org.example.ios","provider":"apns","breaker":"closed","in_flight":0,"fuse":{"app":"org.example.ios","dead":0,"pushkeys":9},"proven":true,"content":"event_id_only","troubles":[]},
	{"app":"org.example.up","provider":"unifiedpush","in_flight":0,"fuse":{"app":"org.example.up","dead":0,"pushkeys":9},"proven":true,"content":"event_id_only","troubles":[]},
	{"app":"org.example.web","provider":"webpush","in_flight":0,"fuse":{"app":"org.example.web","dead":0,"pushkeys":9},"proven":true,"content":"full","troubles":[]}]}`

// lastDelivered is the part of an explanation about a push that was delivered.
const lastDelivered = `"last":{"at":"2026-03-14T11:59:00Z","app":"org.example.up","outcome":"delivered","reason":"delivered"}`

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{
		t: t, overview: healthy, server: "Synapse/1.163.2", explained: map[string]string{}, rooms: map[string]map[string]string{},
		urls: map[string]string{"push.example.org": `405 {"errcode":"M_UNRECOGNIZED","error":"use POST"}`}, addresses: map[string]string{},
		pushers: []string{pusher("org.example.up", "https://push.example.org/_matrix/push/v1/notify", `,"format":"event_id_only"`)},
	}
	s.rules = rulesOf(t)
	return s
}

// rulesOf returns Synapse's default rules.
func rulesOf(t *testing.T) (rules map[string]any) {
	t.Helper()
	set, err := pushrules.Defaults(pushrules.SynapseAge, alice)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &rules); err != nil {
		t.Fatal(err)
	}
	if global, ok := rules["global"].(map[string]any); ok {
		return global
	}
	return rules
}

// pusher returns a pusher as Synapse does. Its data have further members.
func pusher(appID, url, data string) string {
	return fmt.Sprintf(`{"app_display_name":"An app","app_id":%q,"data":{"url":%q%s},"device_display_name":"A device","kind":"http","lang":"en",`+
		`"profile_tag":"","pushkey":%q}`, appID, url, data, canary)
}

// add puts a rule in front of the rules of a kind.
func (s *scene) add(kind, id string, members string) {
	s.t.Helper()
	rule := map[string]any{"rule_id": id, "default": false, "enabled": true, "actions": []any{}}
	if err := json.Unmarshal([]byte("{"+members+"}"), &rule); err != nil {
		s.t.Fatal(err)
	}
	list, _ := s.rules[kind].([]any)
	s.rules[kind] = append([]any{rule}, list...)
}

// change changes a default rule.
func (s *scene) change(id, member string, value any) {
	s.t.Helper()
	for _, list := range s.rules {
		for _, rule := range list.([]any) {
			if members := rule.(map[string]any); members["rule_id"] == id {
				members[member] = value
				return
			}
		}
	}
	s.t.Fatalf("there is no rule %s", id)
}

func (s *scene) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", s.server)
	path := strings.TrimPrefix(r.URL.Path, "/_matrix/client")
	answer := ""
	switch path {
	case "/versions":
		answer = `{"versions":["r0.6.1","v1.15"],"unstable_features":{"org.matrix.msc4028":false}}`
	case "/v3/account/whoami":
		answer = `{"user_id":"` + alice + `","is_guest":false,"device_id":"DEVICE"}`
	case "/v3/pushers":
		answer = `{"pushers":[` + strings.Join(s.pushers, ",") + `]}`
	case "/v3/pushrules/":
		raw, _ := json.Marshal(map[string]any{"global": s.rules})
		answer = string(raw)
	case "/v3/notifications":
		if s.notifications != nil || s.server != "continuwuity" {
			answer = `{"notifications":[` + strings.Join(s.notifications, ",") + `],"next_token":null}`
		}
	case "/v3/profile/" + alice + "/displayname":
		answer = `{"displayname":"Alice"}`
	}
	if slices.Contains(s.refusals, path) {
		w.WriteHeader(http.StatusForbidden)
		answer = `{"errcode":"M_FORBIDDEN","error":"No."}`
	}
	if room, ok := strings.CutPrefix(path, "/v3/rooms/"); ok {
		id, event, _ := strings.Cut(room, "/state/")
		answer = s.rooms[id][strings.TrimSuffix(event, "/")]
	}
	if answer == "" {
		w.WriteHeader(http.StatusNotFound)
		answer = `{"errcode":"M_NOT_FOUND","error":"Event not found."}`
	}
	_, _ = io.WriteString(w, answer)
}

func (s *scene) Apps(context.Context) (*admin.Overview, error) {
	o := new(admin.Overview)
	return o, json.Unmarshal([]byte(s.overview), o)
}

func (s *scene) Explain(_ context.Context, d Device) (*gateway.Explanation, error) {
	if strings.Contains(string(d.Data), "_matrix") {
		s.t.Errorf("the data have the URL: %s", d.Data)
	}
	text, ok := s.explained[d.AppID]
	if !ok {
		text = `"app":"` + d.AppID + `","waiting":false,` + lastDelivered
	}
	result := gateway.ArrivesNamed
	if d.Site != "push.example.org" {
		result = gateway.ArrivesNowhere
	}
	if !strings.Contains(text, `"arrival"`) {
		text += `,"arrival":{"site":"` + d.Site + `","result":"` + result + `"}`
	}
	e := new(gateway.Explanation)
	return e, json.Unmarshal([]byte(`{"pushkey_hash":"`+hash+`",`+text+`}`), e)
}

func (s *scene) Send(_ context.Context, d Device) (*gateway.Trial, error) {
	s.sent = append(s.sent, d)
	if d.AppID == "org.example.refused" {
		return nil, errors.New("site: the site does not serve the app")
	}
	return &gateway.Trial{App: d.AppID, Outcome: "delivered", Result: "delivered"}, nil
}

// RoundTrip answers as the hosts of pushers' URLs do.
func (s *scene) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r.Method+" "+r.URL.String())
	answer, ok := s.urls[r.URL.Host]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	var status int
	_, err := fmt.Sscanf(answer, "%d", &status)
	if err != nil {
		return nil, err
	}
	_, body, _ := strings.Cut(answer, " ")
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}, nil
}

func (s *scene) resolve(_ context.Context, host string) ([]netip.Addr, error) {
	switch address := s.addresses[host]; address {
	case "":
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	case "none":
		return nil, &net.DNSError{IsNotFound: true}
	default:
		return []netip.Addr{netip.MustParseAddr(address)}, nil
	}
}

// run examines the account.
func (s *scene) run(change ...func(*Options)) (*Report, error) {
	s.t.Helper()
	server := httptest.NewServer(s)
	s.t.Cleanup(server.Close)
	client, err := homeserver.New(server.URL, canary)
	if err != nil {
		s.t.Fatal(err)
	}
	o := Options{Homeserver: client, Gateway: s, Now: func() time.Time { return today }, Transport: s, Resolve: s.resolve}
	for _, c := range change {
		c(&o)
	}
	return Examine(s.t.Context(), o)
}

// examine examines the account, and wants a report.
func (s *scene) examine(change ...func(*Options)) *Report {
	s.t.Helper()
	r, err := s.run(change...)
	if err != nil {
		s.t.Fatal(err)
	}
	if raw, err := json.Marshal(r); err != nil || strings.Contains(string(raw), canary) {
		s.t.Errorf("the report has a pushkey or the token: %s, %v", raw, err)
	}
	return r
}

// wantCodes wants exactly these codes, and complete texts.
func (r *Report) wantCodes(t *testing.T, want ...string) {
	t.Helper()
	got := []string{}
	for _, f := range r.Findings {
		got = append(got, f.Code)
		if f.Text == "" || f.Action == "" || strings.ContainsAny(f.Text+f.Action, "{}") {
			t.Errorf("the finding is incomplete: %+v", f)
		}
	}
	if !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("the findings are %q, want %q", got, want)
	}
}

// wantText wants a finding with a text in its sentence or in what to do.
func (r *Report) wantText(t *testing.T, code, text string) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Code == code && strings.Contains(f.Text+" "+f.Action, text) {
			return
		}
	}
	t.Errorf("no %s has %q: %+v", code, text, r.Findings)
}
