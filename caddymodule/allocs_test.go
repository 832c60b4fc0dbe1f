package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/internal/test/allocstest"
	"github.com/matrix-push/caddy-matrix-push/outbox/off"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/memory"
)

// handlerBudget is the number of allocations that the handler may need for a request with one device, by the device's result: 1 to read it,
// 5 to decode it, 1 for its hand, 1 for the site, 1 for the placeholders, 2 for the header, and the engine's own budget. If a change needs
// more, raise a number here and give the reason.
var handlerBudget = map[string]float64{
	"delivered":       25, // nothing for its metrics, and for the log of what is not logged
	"duplicate":       14,
	"rejected before": 15, // 1 for the answer, which is otherwise always the same
}

// Not parallel, as the count is for the whole process.
func TestTheHandlerStaysWithinItsBudgetOfAllocations(t *testing.T) {
	h := newQuietHandler(t)
	for _, test := range []struct {
		name, pushkey string
		next          func(event []byte)
		want          string
	}{
		{"delivered", "alive", count, `{"rejected":[]}`},
		{"duplicate", "alive", func([]byte) {}, `{"rejected":[]}`},
		{"rejected before", "dead", count, `{"rejected":["dead"]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := []byte(strings.Replace(notification, "PUSHKEY", test.pushkey, 1))
			event := body[bytes.Index(body, []byte("$event"))+len("$event"):][:4]
			reader := bytes.NewReader(body)
			r := newNotifyRequest(t, reader)
			w := &response{header: make(http.Header)}
			allocstest.Within(t, handlerBudget[test.name], func() {
				test.next(event)
				reader.Reset(body)
				w.body.Reset()
				clear(w.header)
				if err := h.ServeHTTP(w, r, nil); err != nil || w.body.String() != test.want {
					t.Fatalf("answered %s, %v", w.body.String(), err)
				}
			})
		})
	}
}

// notification returns a notification of an event whose name ends in a number.
const notification = `{"notification":{"content":{"body":"Shall we meet?","msgtype":"m.text"},"counts":{"unread":4},"devices":[{"app_id":"app",` +
	`"data":{"format":"full"},"pushkey":"PUSHKEY","pushkey_ts":1700000000,"tweaks":{"sound":"default"}}],"event_id":"$event0000",` +
	`"prio":"high","room_id":"!room:example.org","sender":"@alice:example.org","type":"m.room.message"}}`

// count adds one to a decimal number.
func count(number []byte) {
	for i := len(number) - 1; i >= 0; i-- {
		if number[i]++; number[i] <= '9' {
			return
		}
		number[i] = '0'
	}
}

// newQuietHandler returns a handler with the usual settings. Its stores remember only that a pushkey is dead.
func newQuietHandler(t *testing.T) *Handler {
	t.Helper()
	store := new(memory.Store)
	if err := errors.Join(store.Provision(caddy.Context{}), store.Open(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Cleanup() })
	if err := store.Reject(t.Context(), rejected.KeyOf("app", "dead"), rejected.Verdict{PushkeyTS: 1_700_000_000_000, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	router, err := gateway.NewRouter([]*gateway.App{{
		Pattern: "app", ProviderName: "fake", Provider: advertising{}, Wait: gateway.DefaultWait,
		TTL: time.Hour, Badges: providers.BadgesOn, Limit: limit.NewFair(8, 8),
	}})
	if err != nil {
		t.Fatal(err)
	}
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zapcore.InfoLevel))
	app := &App{
		MaxBody: defaultMaxBody, MaxDevices: defaultMaxDevices, started: make(chan struct{}), observer: telemetry.NewObserver(logger, nil),
	}
	app.gateway = gateway.New(gateway.Options{
		Router: router, Rejected: store, Outbox: new(off.Box), Dedupe: defaultDedupe, Fuse: gateway.FuseOptions{Share: 0.5, Window: time.Hour},
		Shared: gateway.NewShared(), Observer: app.observer, Now: time.Now,
		Jitter: func(time.Duration) time.Duration { return 0 },
	})
	close(app.started)
	t.Cleanup(func() { app.gateway.Shared.Drain(context.Background()) })
	return &Handler{Plaintext: "allow", app: app, serves: func(*gateway.App) bool { return true }}
}

// newNotifyRequest returns a request as Caddy's server passes it on without an access log.
func newNotifyRequest(t *testing.T, body *bytes.Reader) *http.Request {
	t.Helper()
	ctx := t.Context()
	for key, value := range map[any]any{
		caddyhttp.ServerCtxKey: new(caddyhttp.Server), caddyhttp.ExtraLogFieldsCtxKey: new(caddyhttp.ExtraLogFields),
		caddy.ReplacerCtxKey: caddy.NewReplacer(), http.LocalAddrContextKey: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443},
	} {
		ctx = context.WithValue(ctx, key, value)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://push.example.org"+endpoint, io.NopCloser(body))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = body.Size()
	return r
}

// response is a response without a connection.
type response struct {
	header http.Header
	body   bytes.Buffer
}

func (r *response) Header() http.Header         { return r.header }
func (r *response) WriteHeader(int)             {}
func (r *response) Write(p []byte) (int, error) { return r.body.Write(p) }

// SetReadDeadline exists because the server's own response writer has it.
func (r *response) SetReadDeadline(time.Time) error { return nil }
