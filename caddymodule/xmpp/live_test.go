package xmpp_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/xmpp"
	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

func init() { caddy.RegisterModule(new(logbook)) }

// logbook is a writer of Caddy's log that tests can wait at.
type logbook struct{}

// logged has the lines of the log.
var logged, loggedTo = pipe()

func pipe() (*bufio.Scanner, *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	return bufio.NewScanner(r), w
}

func (*logbook) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.test_logbook", New: func() caddy.Module { return new(logbook) }}
}
func (*logbook) String() string                      { return "a test" }
func (*logbook) WriterKey() string                   { return "test_logbook" }
func (*logbook) OpenWriter() (io.WriteCloser, error) { return unclosed{loggedTo}, nil }

// unclosed is a writer that stays open.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// withLog adds the log of xmpp_push to a configuration.
func withLog(t *testing.T, config []byte) []byte {
	t.Helper()
	var c options
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	c["logging"] = options{"logs": options{"xmpp": options{
		"writer": options{"output": "test_logbook"}, "encoder": options{"format": "json"}, "include": []string{"xmpp_push"},
	}}}
	out, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// line returns the next line of the log.
func line(t *testing.T) map[string]any {
	t.Helper()
	if !logged.Scan() {
		t.Fatal(logged.Err())
	}
	var fields map[string]any
	if err := json.Unmarshal(logged.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestX02_ARefusedComponentIsAnErrorThatSaysWhatToDoAndCaddyRunsOn(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare   func(*xmpptest.Server)
		component string
		secret    string
		reason    string
		hint      string
	}{
		"a wrong secret":  {func(*xmpptest.Server) {}, "push.example.test", "canary-secret", "not_authorized", "component_secret"},
		"an unknown host": {func(*xmpptest.Server) {}, "nope.example.test", "canary-secret", "host_unknown", "add the component"},
		"a conflict":      {func(s *xmpptest.Server) { s.Occupy() }, "push.example.test", "", "conflict", "another program"},
	} {
		t.Run(name, func(t *testing.T) {
			server := xmpptest.NewServer(t, xmpptest.Prosody)
			tt.prepare(server)
			secret := tt.secret
			if secret == "" {
				secret = server.Secret
			}
			load(t, withLog(t, configOf(t, t.TempDir(), options{tt.component: componentOf(server.Listen(t), secret, nil)}, nil)))
			l := line(t)
			if l["level"] != "error" || l["msg"] != "XMPP component refused by the server" || l["component"] != tt.component || l["reason"] != tt.reason {
				t.Errorf("the log has %v", l)
			}
			wantParts(t, fmt.Sprint(l["hint"]), tt.hint)
			if all := fmt.Sprint(l); strings.Contains(all, secret) {
				t.Errorf("the log shows the secret: %s", all)
			}
			o := ask(t, http.MethodGet, "/matrix_push/apps", "")
			wantParts(t, o, `"status":"degraded"`, `"component":"`+tt.component+`","reason":"component_down","detail":"`+tt.reason+`"`)
		})
	}
}

// ask asks the admin API of the live configuration.
func ask(t *testing.T, method, path, body string) string {
	t.Helper()
	for _, route := range append(new(caddymodule.Admin).Routes(), new(xmpp.Admin).Routes()...) {
		if route.Pattern != path {
			continue
		}
		r, w := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)), httptest.NewRecorder()
		if err := route.Handler.ServeHTTP(w, r); err != nil {
			return err.Error()
		}
		return w.Body.String()
	}
	t.Fatalf("there is no route %s", path)
	return ""
}

func TestX15_TwoComponentsDoNotMixAndOneThatIsDownSlowsNobody(t *testing.T) {
	server, other := xmpptest.NewServer(t, xmpptest.Prosody), xmpptest.NewServer(t, xmpptest.Prosody)
	other.Domain = "push.other.test"
	down := xmpptest.NewServer(t, xmpptest.Prosody)
	down.Domain = "push.down.test"
	down.Refuse(true)
	config := configOf(t, t.TempDir(), options{
		server.Domain: componentOf(server.Listen(t), server.Secret, nil),
		other.Domain:  componentOf(other.Listen(t), other.Secret, options{"apps": options{"im.other": options{"modules": []string{"other"}}}}),
		down.Domain:   componentOf(down.Listen(t), down.Secret, nil),
	}, options{"matrix_push": gatewayOf("im.example", "im.other")})
	load(t, config)
	first, second := online(t, server), online(t, other)
	send(t, first, publish("1", "example.test", server.Domain, "alive"))
	if got := receive(t, first).Verdict(); got != "result" {
		t.Errorf("got %s", got)
	}
	if p := <-pushed; p.Device.AppID != "im.example" {
		t.Errorf("pushed to %s", p.Device.AppID)
	}
	send(t, second, publish("2", "example.test", other.Domain, "alive"))
	if got := receive(t, second).Verdict(); got != "wait remote-server-timeout" {
		t.Errorf("a push for another component's app is answered with %s", got)
	}
	if n := len(pushed); n > 0 {
		t.Errorf("there are %d more pushes", n)
	}
}

func TestX16_APushThatTakesLongHoldsUpNoOther(t *testing.T) {
	server := xmpptest.NewServer(t, xmpptest.Prosody)
	load(t, configOf(t, t.TempDir(), options{server.Domain: componentOf(server.Listen(t), server.Secret, nil)}, nil))
	s := online(t, server)
	send(t, s, publish("slow", "example.test", server.Domain, "slow-1"))
	<-pushed // it is on its way
	for i := range 100 {
		send(t, s, publish(fmt.Sprint(i), "example.test", server.Domain, fmt.Sprint("alive-", i)))
	}
	for range 100 {
		if e := receive(t, s); e.Attr("id") == "slow" || e.Verdict() != "result" {
			t.Errorf("got %+v", e)
		}
	}
	release.open()
	if e := receive(t, s); e.Attr("id") != "slow" || e.Verdict() != "result" {
		t.Errorf("the slow push is answered with %+v", e)
	}
}

func TestX06_ADeadDeviceIsAskedForOnce(t *testing.T) {
	server := xmpptest.NewServer(t, xmpptest.Prosody)
	load(t, configOf(t, t.TempDir(), options{server.Domain: componentOf(server.Listen(t), server.Secret, nil)}, nil))
	s := online(t, server)
	for range 4 {
		send(t, s, publish("1", "example.test", server.Domain, "dead-1"))
		if got := receive(t, s).Verdict(); got != "cancel item-not-found" {
			t.Errorf("got %s", got)
		}
	}
	if n := len(pushed); n != 1 {
		t.Errorf("the push service was asked %d times", n)
	}
	answer := ask(t, http.MethodPost, "/matrix_push/rejected/explain", `{"app_id":"im.example","pushkey":"dead-1"}`)
	wantParts(t, answer, `"app":"im.example"`, `"reason":"gone"`)
	if strings.Contains(answer, "unusable") {
		t.Errorf("the device counts as unusable: %s", answer)
	}
}

func TestX07_AnOutageCostsNoRegistration(t *testing.T) {
	server := xmpptest.NewServer(t, xmpptest.Prosody)
	load(t, configOf(t, t.TempDir(), options{server.Domain: componentOf(server.Listen(t), server.Secret, nil)}, nil))
	s := online(t, server)
	for range 20 {
		send(t, s, publish("1", "example.test", server.Domain, "down-1"))
		if got := receive(t, s).Verdict(); got != "wait remote-server-timeout" {
			t.Errorf("without an outbox, a push is answered with %s", got)
		}
	}
	drain()
}

func TestX35_KeysAreRotatedByTheAdminAPI(t *testing.T) {
	server := xmpptest.NewServer(t, xmpptest.Prosody)
	load(t, configOf(t, t.TempDir(), options{server.Domain: componentOf(server.Listen(t), server.Secret, nil)}, nil))
	online(t, server)
	before := ask(t, http.MethodGet, "/matrix_push/xmpp/keys", "")
	after := ask(t, http.MethodPost, "/matrix_push/xmpp/keys/rotate", `{"component":"push.example.test"}`)
	again := ask(t, http.MethodPost, "/matrix_push/xmpp/keys/rotate", `{"component":"push.example.test"}`)
	if strings.Count(before, `"id"`) != 1 || strings.Count(after, `"id"`) != 2 || strings.Count(again, `"retired"`) != 1 {
		t.Errorf("the keys are %s, then %s, then %s", before, after, again)
	}
	wantParts(t, ask(t, http.MethodPost, "/matrix_push/xmpp/keys/rotate", `{"component":"push.example.tset"}`), "there is no component", "push.example.test")
	wantParts(t, ask(t, http.MethodPost, "/matrix_push/xmpp/keys/rotate", `{}`), "component")
	wantParts(t, ask(t, http.MethodGet, "/matrix_push/apps", ""), `"xmpp_components":[{"component":"push.example.test","up":true`)
}
