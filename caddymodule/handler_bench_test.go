package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/internal/test/benchtest"
	_ "github.com/matrix-push/caddy-matrix-push/outbox/off"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

func init() {
	caddy.RegisterModule(new(quiet))
	caddy.RegisterModule(new(bare))
}

// quiet is a provider that accepts every push at once, except for a dead pushkey.
type quiet struct{}

func (*quiet) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.test_quiet", New: func() caddy.Module { return new(quiet) }}
}

func (*quiet) Push(_ context.Context, p *providers.Push) providers.Outcome {
	if p.Device.Pushkey == "dead" {
		return providers.Rejected("gone")
	}
	return providers.Delivered()
}

// bare is the minimal work of a gateway: it decodes the request and answers that nothing is rejected.
type bare struct{}

func (*bare) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_bare", New: func() caddy.Module { return new(bare) }}
}

func (*bare) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var request struct {
		Notification struct {
			EventID           string          `json:"event_id"`
			RoomID            string          `json:"room_id"`
			Type              string          `json:"type"`
			Sender            string          `json:"sender"`
			SenderDisplayName string          `json:"sender_display_name"`
			RoomName          string          `json:"room_name"`
			Prio              string          `json:"prio"`
			Content           json.RawMessage `json:"content"`
			Counts            struct {
				Unread int64 `json:"unread"`
			} `json:"counts"`
			Devices []struct {
				AppID     string          `json:"app_id"`
				Pushkey   string          `json:"pushkey"`
				PushkeyTS int64           `json:"pushkey_ts"`
				Data      json.RawMessage `json:"data"`
				Tweaks    json.RawMessage `json:"tweaks"`
			} `json:"devices"`
		} `json:"notification"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = io.WriteString(w, `{"rejected":[]}`)
	return err
}

// BenchmarkHandler measures a request with one device through Caddy's HTTP server, without the network: by the device's result, and with a
// handler that only decodes it. The first request makes an event a duplicate, or a device dead.
func BenchmarkHandler(b *testing.B) {
	server := benchmarkServer(b)
	var events atomic.Int64
	fresh := func() string { return strconv.FormatInt(events.Add(1), 10) }
	same := func() string { return "same" }
	for _, bench := range []struct {
		name, path, pushkey string
		event               func() string
		want                string
	}{
		{"bare", "/bare", "alive", fresh, `{"rejected":[]}`},
		{"delivered", "/_matrix/push/v1/notify", "alive", fresh, `{"rejected":[]}`},
		{"duplicate", "/_matrix/push/v1/notify", "alive", same, `{"rejected":[]}`},
		{"rejected_before", "/_matrix/push/v1/notify", "dead", fresh, `{"rejected":["dead"]}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			benchtest.Run(b, func() error {
				w := &answer{header: make(http.Header)}
				server.ServeHTTP(w, notifyRequest(b, bench.path, bench.event(), bench.pushkey))
				if w.body.String() != bench.want {
					return fmt.Errorf("answered %s", w.body.String())
				}
				return nil
			})
		})
	}
}

// benchmarkServer returns Caddy's HTTP server with the gateway and the bare handler.
func benchmarkServer(b *testing.B) *caddyhttp.Server {
	b.Helper()
	err := caddy.Load(caddyconfig.JSON(map[string]any{
		"admin":   map[string]any{"disabled": true, "config": map[string]any{"persist": false}},
		"logging": map[string]any{"logs": map[string]any{"default": map[string]any{"level": "ERROR"}}},
		"apps": map[string]any{
			"matrix_push": map[string]any{
				"apps": map[string]any{
					"org.example.android": map[string]any{"provider": map[string]any{"name": "test_quiet"}},
					"org.example.ios.*":   map[string]any{"provider": map[string]any{"name": "test_quiet"}},
				},
				"rejected": map[string]any{"name": "memory"},
				"outbox":   map[string]any{"name": "off"},
			},
			"http": map[string]any{"servers": map[string]any{"s": map[string]any{
				"listen": []string{"127.0.0.1:0"}, "automatic_https": map[string]any{"disable": true},
				"routes": []any{map[string]any{"handle": []any{
					map[string]any{"handler": "matrix_push", "plaintext": "allow"}, map[string]any{"handler": "test_bare"},
				}}},
			}}},
		},
	}, nil), true)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			b.Error(err)
		}
	})
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		b.Fatal(err)
	}
	return app.(*caddyhttp.App).Servers["s"]
}

// answer is a response without a connection.
type answer struct {
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(int)             {}
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// notifyRequest returns a request as Synapse sends it for a message in an ordinary room.
func notifyRequest(tb testing.TB, path, event, pushkey string) *http.Request {
	body := fmt.Sprintf(`{"notification":{"content":{"body":"Shall we meet at the station at half past seven?","msgtype":"m.text"},`+
		`"counts":{"unread":4},"devices":[{"app_id":"org.example.ios.prod","data":{"default_payload":{"aps":{"alert":`+
		`{"loc-args":[],"loc-key":"Notification"},"mutable-content":1}},"format":"full"},"pushkey":%q,"pushkey_ts":1700000000,`+
		`"tweaks":{"highlight":false,"sound":"default"}}],"event_id":"$YUwQidLecoCBbTBfN9rTOFXwEjU1LJGtcDvm-%s","prio":"high",`+
		`"room_id":"!jEsUZKDJdhlrceRyVU:example.org","room_name":"Weekend walks","sender":"@alice:example.org",`+
		`"sender_display_name":"Alice","type":"m.room.message"}}`, pushkey, event)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.RemoteAddr = "127.0.0.1:4000"
	return r
}
