package bell

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/matrix-push/caddy-matrix-push/caddymodule"
	_ "github.com/matrix-push/caddy-matrix-push/outbox/off"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
	_ "github.com/matrix-push/caddy-matrix-push/rejected/memory"
)

const (
	token   = "a-secret-token"
	pushkey = "0123456789abcdef0123456789abcdef"
)

// fake is Bell. It verifies requests as the real one would, and passes them on.
func fake(t *testing.T, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || !strings.HasPrefix(r.URL.Path, "/v1/bells/") {
			t.Errorf("Bell got %s %s, %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		}
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// file writes a file with the token in it.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// provision makes a provider from a Caddyfile block, as Caddy does. The test cleans it up.
func provision(t *testing.T, block string) (*Provider, error) {
	t.Helper()
	p := new(Provider)
	t.Cleanup(func() {
		if err := p.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	if err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(block)); err != nil {
		return nil, err
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	return p, p.Provision(ctx)
}

func pushOf(n *providers.Notification) *providers.Push {
	return &providers.Push{
		Notification: n, Device: &providers.Device{AppID: "org.example", Pushkey: pushkey},
		ID: "7b3f3c9e-3a42-4a52-b0f0-2f9d2a4a1d55", Expires: time.Now().Add(time.Hour),
	}
}

func alert() *providers.Notification {
	return &providers.Notification{
		EventID: "$event", RoomID: "!room:example.org", Type: "m.room.message", SenderDisplayName: "Alice",
		Counts: providers.Counts{Unread: new(int64(2))}, Content: json.RawMessage(`{"body": "a < b", "Body": 1}`),
	}
}

func TestTheProviderKeepsTheContract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Suite{
		New: func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push) {
			p, err := provision(t, fmt.Sprintf("bell {\ntoken_file %s\nendpoint %s\ntrusted_ca %s\nproxy none\n}", file(t, token), baseURL, caFile))
			if err != nil {
				t.Fatal(err)
			}
			return p, pushOf(alert())
		},
		Verdicts: []providertest.Verdict{
			{Name: "taken", Status: 202, Kind: providers.KindDelivered, Reason: "delivered"},
			{Name: "a token that Bell does not know", Status: 401, Kind: providers.KindMisconfigured, Reason: "token_refused"},
			{
				Name: "an app that was uninstalled", Status: 410, Kind: providers.KindRejected, Reason: "gone",
				Documented: "https://bell.example.org/docs/answers",
			},
			{
				Name: "a bell that rings too often", Status: 429, Header: http.Header{"Retry-After": {"30"}},
				Kind: providers.KindRetry, Cause: providers.CauseDevice, RetryAfter: 30 * time.Second, Reason: "rate_limited",
			},
			{Name: "a message that Bell does not like", Status: 400, Kind: providers.KindDropped, Reason: "refused"},
			{Name: "a proxy before Bell that does not find it", Status: 404, Kind: providers.KindRetry, Reason: "unexpected_answer"},
			{
				Name: "an outage", Status: 503, Header: http.Header{"Retry-After": {"5"}},
				Kind: providers.KindRetry, RetryAfter: 5 * time.Second, Reason: "server_error",
			},
		},
		Rings:    func(_ *http.Request, body []byte) bool { return strings.Contains(string(body), `"ring":true`) },
		Unusable: []providers.Device{{Pushkey: ""}, {Pushkey: "short"}, {Pushkey: strings.ToUpper(pushkey)}, {Pushkey: pushkey[:30] + "/.."}},
		Secrets:  []string{token, pushkey, "Alice", "a < b"},
		Wrap:     func(next http.Handler) http.Handler { return fake(t, next) },
	})
}

func TestBellGetsWhatAPersonMaySee(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		n    *providers.Notification
		want string
	}{
		"everything": {
			alert(), `{"ring":true,"badge":2,"room_id":"!room:example.org","event_id":"$event","title":"Alice","text":"a < b"}`,
		},
		"ids only":             {alert().Reduced(), `{"ring":true,"badge":2,"room_id":"!room:example.org","event_id":"$event"}`},
		"a number for a text":  {&providers.Notification{EventID: "$e", Content: json.RawMessage(`{"body": 1}`)}, `{"ring":true,"event_id":"$e"}`},
		"a room that was read": {&providers.Notification{Badge: true, Counts: providers.Counts{Unread: new(int64(0))}}, `{"ring":false,"badge":0}`},
	} {
		if got := string(message(test.n)); got != test.want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestATokenThatWasReplacedIsUsed(t *testing.T) {
	t.Parallel()
	var got atomic.Value
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got.Store(r.Header.Get("Authorization"))
	}))
	path := file(t, "old")
	p, err := provision(t, fmt.Sprintf("bell {\ntoken_file %s\nendpoint %s\ntrusted_ca %s\nproxy none\n}", path, server.URL, server.CAFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("newer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.token.Reread() // as happens every 5 s
	if o := p.Push(t.Context(), pushOf(alert())); o.Kind != providers.KindDelivered || got.Load() != "Bearer newer" {
		t.Errorf("the outcome is %+v, and Bell got %v", o, got.Load())
	}
}

func TestAWrongOptionIsNamedWhenItIsLoaded(t *testing.T) {
	t.Parallel()
	good := file(t, token)
	for block, want := range map[string]string{
		"bell loud": "wrong argument count",
		"bell {\ntoken_file " + good + "\ntoken_file " + good + "\n}":                       "token_file is given twice",
		"bell {\nproxy none\nproxy none\n}":                                                 "proxy is given twice",
		"bell {\nvolume 11\n}":                                                              `bell has no option "volume"`,
		"bell {\ntoken_file\n}":                                                             "wrong argument count",
		"bell":                                                                              "token_file is missing",
		"bell {\ntoken_file {env.NOT_SET_IN_THIS_TEST}\n}":                                  "token_file: ",
		"bell {\ntoken_file " + good + ".not\n}":                                            "token_file: ",
		"bell {\ntoken_file " + file(t, "secret token") + "\n}":                             "token_file: the file must contain one word",
		"bell {\ntoken_file " + good + "\nendpoint http://bell.example.org\n}":              "endpoint: ",
		"bell {\ntoken_file " + good + "\nendpoint https://user:secret@bell.example.org\n}": "endpoint: ",
		"bell {\ntoken_file " + good + "\ntrusted_ca " + good + "\n}":                       "trusted_ca: ",
		"bell {\ntoken_file " + good + "\nproxy nonsense\n}":                                "proxy: ",
	} {
		if _, err := provision(t, block); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v", block, err)
		}
	}
}

// The gateway finds the provider by its name.
func TestACaddyfileWithTheProviderIsValid(t *testing.T) {
	config := "{\n\tadmin off\n\tmatrix_push {\n\t\toutbox off\n\t\trejected memory\n\t\tapp org.example.* {\n\t\t\tbell {\n\t\t\t\ttoken_file " +
		file(t, token) + "\n\t\t\t}\n\t\t}\n\t}\n}\n\npush.example.org {\n\tmatrix_push\n}\n"
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	var parsed caddy.Config
	if err := json.Unmarshal(adapted, &parsed); err != nil {
		t.Fatal(err)
	}
	parsed.StorageRaw = fmt.Appendf(nil, `{"module": "file_system", "root": %q}`, t.TempDir())
	if err := caddy.Validate(&parsed); err != nil {
		t.Error(err)
	}
	if !strings.Contains(string(adapted), `"bell"`) {
		t.Errorf("the app has another provider: %s", adapted)
	}
}
