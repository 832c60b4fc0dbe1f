package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Caddy has one configuration per process, so these tests are not parallel.

func TestAConfigurationThatIsWrongFailsToLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	garbage := write("garbage.pem", "not a key")
	missing := filepath.Join(dir, "missing.pem")

	app := func(policy string) string {
		return `{"apps":{"org.example.x":{"provider":{"name":"unifiedpush"},` + policy + `}}}`
	}
	provider := func(options string) string { return `{"apps":{"org.example.x":{"provider":{` + options + `}}}}` }
	up := func(options string) string { return provider(`"name":"unifiedpush",` + options) }
	webpush := func(options string) string { return provider(`"name":"webpush",` + options) }

	tests := []struct {
		name, config string
		want         []string // parts of the error: the app, the field, the reason
	}{
		{"a wait longer than Dendrite's patience", app(`"wait":"26s"`), []string{`app "org.example.x"`, "wait: ", "26s"}},
		{"a negative wait", app(`"wait":-1`), []string{`app "org.example.x"`, "wait: "}},
		{"no wait without an outbox", `{"outbox":{"name":"off"},"apps":{"*":{"provider":{"name":"unifiedpush"},"wait":0}}}`, []string{"wait: ", "outbox"}},
		{"a negative ttl", app(`"ttl":-1`), []string{`app "org.example.x"`, "ttl: "}},
		{"content that is not a choice", app(`"content":"all"`), []string{`app "org.example.x"`, "content: ", `"all"`}},
		{"badges that are not a choice", app(`"badges":"yes"`), []string{`app "org.example.x"`, "badges: ", `"yes"`}},
		{"a negative concurrency", app(`"concurrency":-1`), []string{`app "org.example.x"`, "concurrency: ", "-1"}},
		{"an unknown field of an app", app(`"wiat":"5s"`), []string{`app "org.example.x": `, `"wiat"`, `did you mean "wait"?`}},
		{"an unknown field of the gateway", `{"max_device":1}`, []string{`"max_device"`, `did you mean "max_devices"?`}},
		{"a negative dedupe", `{"dedupe":-1}`, []string{"dedupe: "}},
		{"a negative max_body", `{"max_body":-1}`, []string{"max_body: "}},
		{"a negative max_devices", `{"max_devices":-1}`, []string{"max_devices: "}},

		{"an app that is null", `{"apps":{"org.example.x":null}}`, []string{`app "org.example.x"`, "provider is missing"}},
		{"an app without a provider", `{"apps":{"org.example.x":{"wait":"5s"}}}`, []string{`app "org.example.x"`, "provider is missing"}},
		{"a provider without a name", provider(`"vapid_subject":"mailto:ops@example.org"`), []string{`app "org.example.x"`, "provider: name is missing", "apns, fcm"}},
		{"a provider that is not an object", `{"apps":{"org.example.x":{"provider":"unifiedpush"}}}`, []string{`app "org.example.x"`, "provider: must be an object"}},
		{"a provider that is not compiled in", provider(`"name":"pigeon"`), []string{`app "org.example.x"`, `provider "pigeon"`}},
		{"a module that is not a provider", provider(`"name":"test_nothing"`), []string{`app "org.example.x"`, `provider "test_nothing"`, "is not a provider"}},
		{"a rejected store that is not compiled in", `{"rejected":{"name":"stone"}}`, []string{"rejected: ", "stone"}},
		{"an outbox that is not compiled in", `{"outbox":{"name":"stone"}}`, []string{"outbox: ", "stone"}},

		{"an empty pattern", `{"apps":{"":{"provider":{"name":"unifiedpush"}}}}`, []string{"pattern is empty"}},
		{"a pattern with a slash", `{"apps":{"org/example":{"provider":{"name":"unifiedpush"}}}}`, []string{`app "org/example"`, "slash"}},
		{
			"two patterns of which neither is more specific",
			`{"apps":{"org.*b?":{"provider":{"name":"unifiedpush"}},"org.?*b":{"provider":{"name":"unifiedpush"}}}}`,
			[]string{`"org.*b?"`, `"org.?*b"`, "equally specific"},
		},

		{"unifiedpush: an unknown field", up(`"vapid_subjekt":"mailto:ops@example.org"`), []string{`provider "unifiedpush"`, "vapid_subjekt"}},
		{"unifiedpush: a subject that is not a URL", up(`"vapid_subject":"ops@example.org"`), []string{`provider "unifiedpush"`, "vapid_subject: "}},
		{"unifiedpush: a key file that is missing", up(fmt.Sprintf(`"vapid_key_file":%q`, missing)), []string{`provider "unifiedpush"`, "vapid_key_file: ", "missing.pem"}},
		{"unifiedpush: a key file that is not a key", up(fmt.Sprintf(`"vapid_key_file":%q`, garbage)), []string{"vapid_key_file: ", "garbage.pem"}},
		{"unifiedpush: a placeholder of nothing", up(`"vapid_key_file":"{env.MATRIX_PUSH_TEST_UNSET}"`), []string{"vapid_key_file: ", "MATRIX_PUSH_TEST_UNSET"}},
		{"unifiedpush: an endpoint that is plain HTTP", up(`"endpoint":"http://relay.example.org"`), []string{"endpoint: ", "https"}},
		{"unifiedpush: an endpoint with a path", up(`"endpoint":"https://relay.example.org/up"`), []string{"endpoint: ", "path"}},
		{"unifiedpush: a CA file that is missing", up(fmt.Sprintf(`"trusted_ca":%q`, missing)), []string{"trusted_ca: ", "missing.pem"}},
		{"unifiedpush: a CA file without a certificate", up(fmt.Sprintf(`"trusted_ca":%q`, garbage)), []string{"trusted_ca: ", "garbage.pem"}},
		{"unifiedpush: a proxy that is not a URL", up(`"proxy":"socks5h://"`), []string{"proxy: ", "the host is missing"}},
		{"unifiedpush: a network that is not valid", up(`"allow_private":["10.0.0.0/8","home"]`), []string{"allow_private: ", `"home"`}},
		{"webpush: a subject that cannot be on the internet", webpush(`"vapid_subject":"mailto:ops@gateway.invalid"`), []string{"vapid_subject: ", "gateway.invalid", "Apple"}},
		{"webpush: a subject that is not a URL", webpush(`"vapid_subject":"ops"`), []string{`provider "webpush"`, "vapid_subject: "}},
		{"webpush: a key file that is not a key", webpush(fmt.Sprintf(`"vapid_subject":"mailto:ops@example.org","vapid_key_file":%q`, garbage)), []string{"vapid_key_file: "}},

		{"rejected memory: an unknown field", `{"rejected":{"name":"memory","size":1}}`, []string{"rejected: ", "size"}},
		{"rejected memory: negative max_entries", `{"rejected":{"name":"memory","max_entries":-1}}`, []string{"rejected: ", "max_entries: "}},
		{"rejected memory: an expire of a second", `{"rejected":{"name":"memory","expire":"1s"}}`, []string{"rejected: ", "expire: "}},
		{"rejected file: an expire of a second", `{"rejected":{"name":"file","expire":"1s"}}`, []string{"rejected: ", "expire: "}},
		{"rejected file: a path that is a directory", fmt.Sprintf(`{"rejected":{"name":"file","path":%q}}`, dir), []string{"rejected: ", "path: ", "directory"}},
		{"rejected file: a placeholder of nothing", `{"rejected":{"name":"file","path":"{env.MATRIX_PUSH_TEST_UNSET}"}}`, []string{"rejected: ", "path: ", "MATRIX_PUSH_TEST_UNSET"}},
		{"outbox file: an unknown field", `{"outbox":{"name":"file","size":1}}`, []string{"outbox: ", "size"}},
		{"outbox file: a negative bound", `{"outbox":{"name":"file","max_per_app":-1}}`, []string{"outbox: ", "max_per_app: "}},
		{"outbox file: a negative bound of a device", `{"outbox":{"name":"file","max_per_device":-1}}`, []string{"outbox: ", "max_per_device: "}},
		{"outbox file: a negative size", `{"outbox":{"name":"file","max_size":-1}}`, []string{"outbox: ", "max_size: "}},
		{"outbox file: a path that is a directory", `{"outbox":{"name":"file","path":"/"}}`, []string{"outbox: ", "path: ", "directory"}},
		{"a fuse of more than all", `{"fuse":{"share":2}}`, []string{"fuse: ", "share: ", "2"}},
		{"a fuse of less than none", `{"fuse":{"share":-1}}`, []string{"fuse: ", "share: ", "-1"}},
		{"a fuse of a second", `{"fuse":{"window":"1s"}}`, []string{"fuse: ", "window: "}},
		{"outbox off: an unknown field", `{"outbox":{"name":"off","size":1}}`, []string{"outbox: ", "size"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := validate(t, fmt.Sprintf(`{"apps":{"matrix_push":%s}}`, tt.config))
			if err == nil {
				t.Fatal("it loads")
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
		})
	}
}

func TestAConfigurationThatIsRightLoads(t *testing.T) {
	t.Setenv("MATRIX_PUSH_TEST_SUBJECT", "mailto:ops@example.org")
	tests := []struct{ name, config string }{
		{"nothing", `{}`},
		{"the longest wait", `{"apps":{"*":{"provider":{"name":"unifiedpush"},"wait":"25s"}}}`},
		{"patterns that overlap, of different specificity", `{"apps":{"*":{"provider":{"name":"unifiedpush"}},"org.*":{"provider":{"name":"unifiedpush"}},"org.*x":{"provider":{"name":"unifiedpush"}}}}`},
		{"patterns of one specificity that cannot both match", `{"apps":{"org.a*":{"provider":{"name":"unifiedpush"}},"org.b*":{"provider":{"name":"unifiedpush"}}}}`},
		{"a subject from the environment", `{"apps":{"*":{"provider":{"name":"webpush","vapid_subject":"{env.MATRIX_PUSH_TEST_SUBJECT}"}}}}`},
		{"no dedupe", `{"dedupe":0}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := validate(t, fmt.Sprintf(`{"apps":{"matrix_push":%s}}`, tt.config)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestASiteIsCheckedWhenItLoads(t *testing.T) {
	const global = "{\n\tskip_install_trust\n\tmatrix_push {\n\t\tapp org.example.* {\n\t\t\tunifiedpush\n\t\t}\n\t}\n}\n"
	tests := []struct {
		name, site string
		want       []string // parts of the error; it loads if there are none
	}{
		{"a site with TLS", "localhost {\n\tmatrix_push\n}", nil},
		{"a pattern as it is configured", "localhost {\n\tmatrix_push {\n\t\tapps org.example.*\n\t}\n}", nil},
		{"a pattern that is not configured", "localhost {\n\tmatrix_push {\n\t\tapps org.example.x\n\t}\n}", []string{"apps: ", `"org.example.x"`}},
		{"only plaintext", "http://localhost {\n\tmatrix_push\n}", []string{"TLS", "plaintext", "trusted_proxy"}},
		{"only plaintext, refused explicitly", "http://localhost {\n\tmatrix_push {\n\t\tplaintext refuse\n\t}\n}", []string{"TLS"}},
		{"plaintext behind a trusted proxy", "http://localhost {\n\tmatrix_push {\n\t\tplaintext trusted_proxy\n\t}\n}", nil},
		{"plaintext allowed", "http://localhost {\n\tmatrix_push {\n\t\tplaintext allow\n\t}\n}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config, refused := adapt(t, global+tt.site)
			if refused {
				t.Fatal(config)
			}
			err := validate(t, config)
			if err == nil && tt.want != nil {
				t.Fatal("it loads")
			}
			if err != nil && tt.want == nil {
				t.Fatal(err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
		})
	}
	t.Run("a plaintext that is not a choice", func(t *testing.T) {
		err := validate(t, `{"apps":{"http":{"servers":{"s":{"listen":[":443"],"routes":[{"handle":[{"handler":"matrix_push","plaintext":"maybe"}]}]}}}}}`)
		if err == nil || !strings.Contains(err.Error(), `plaintext: "maybe"`) {
			t.Errorf("got the error %v", err)
		}
	})
}

// validate provisions a configuration as `caddy validate` does.
func validate(t *testing.T, config string) error {
	t.Helper()
	var c caddy.Config
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		t.Fatal(err)
	}
	c.StorageRaw = storage(t)
	return caddy.Validate(&c)
}

// storage returns a separate storage for the test.
func storage(t *testing.T) json.RawMessage {
	t.Helper()
	return caddyconfig.JSON(map[string]string{"module": "file_system", "root": t.TempDir()}, nil)
}

func init() {
	caddy.RegisterModule(new(thirdParty))
	caddy.RegisterModule(nothing{})
}

// thirdParty is a third-party provider that implements only the contract.
type thirdParty struct {
	Greeting string `json:"greeting,omitempty"`
}

func (*thirdParty) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.test_thirdparty", New: func() caddy.Module { return new(thirdParty) }}
}

// pushed has the last push that the provider got.
var pushed = make(chan providers.Push, 1)

func (*thirdParty) Push(_ context.Context, p *providers.Push) providers.Outcome {
	pushed <- *p
	return providers.Rejected("gone")
}

// nothing is in the providers' namespace, but is not a provider.
type nothing struct{}

func (nothing) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.test_nothing", New: func() caddy.Module { return new(nothing) }}
}

func TestAThirdPartysProviderWorks(t *testing.T) {
	err := caddy.Load(caddyconfig.JSON(map[string]any{
		"admin":   map[string]any{"disabled": true, "config": map[string]any{"persist": false}},
		"storage": storage(t),
		"apps": map[string]any{
			"matrix_push": map[string]any{
				"apps":     map[string]any{"org.example.*": map[string]any{"provider": map[string]any{"name": "test_thirdparty", "greeting": "hi"}}},
				"rejected": map[string]any{"name": "memory"},
			},
			"http": map[string]any{"servers": map[string]any{"s": map[string]any{
				"listen": []string{"127.0.0.1:0"}, "automatic_https": map[string]any{"disable": true},
				"routes": []any{map[string]any{"handle": []any{map[string]any{"handler": "matrix_push", "plaintext": "allow"}}}},
			}}},
		},
	}, nil), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})

	const body = `{"notification":{"event_id":"$1","room_id":"!r","type":"m.room.message","sender":"@a:b","content":{"body":"secret"},
		"counts":{"unread":2},"devices":[{"app_id":"org.example.x","pushkey":"KEY"}]}}`
	status, answer := post(t, body)
	if status != http.StatusOK || answer != `{"rejected":["KEY"]}` {
		t.Errorf("got %d %s", status, answer)
	}
	p := <-pushed
	n := p.Notification
	if n.EventID != "$1" || n.RoomID != "!r" || *n.Counts.Unread != 2 {
		t.Errorf("the provider does not get the ids and counts: %+v", n)
	}
	if n.Content != nil || n.Sender != "" || n.Type != "" {
		t.Errorf("the provider gets more than ids, counts and priority: %+v", n)
	}
	if p.Device.AppID != "org.example.x" || p.Device.Pushkey != "KEY" || p.ID == "" {
		t.Errorf("the provider gets the push %+v for the device %+v", p, p.Device)
	}
	if ttl := time.Until(p.Expires); ttl < 23*time.Hour || ttl > 24*time.Hour {
		t.Errorf("the push expires in %v, want a day", ttl)
	}
}

// post sends a notify request to the server of the live configuration.
func post(t *testing.T, body string) (status int, answer string) {
	t.Helper()
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		t.Fatal(err)
	}
	addr := app.(*caddyhttp.App).Servers["s"].Listeners()[0].Addr().String()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/_matrix/push/v1/notify", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
