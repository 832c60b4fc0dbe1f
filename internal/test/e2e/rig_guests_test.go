package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Modules like those of third parties, which only the Caddy of these tests has.
func init() {
	caddy.RegisterModule(silent{})
	caddy.RegisterModule(new(stubborn))
	caddy.RegisterModule(new(volcanic))
	caddy.RegisterModule(new(eventWriter))
	caddy.RegisterModule(idleTimeout{})
	httpcaddyfile.RegisterHandlerDirective("e2e_idle_timeout", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return idleTimeout{}, nil
	})
}

// silent is a third party's provider that advertises nothing to clients.
type silent struct{ noOptions }

func (silent) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.e2e_silent", New: func() caddy.Module { return new(silent) }}
}

func (silent) Push(context.Context, *providers.Push) providers.Outcome { return providers.Delivered() }

// idleTimeout answers with the idle timeout of its HTTP server. From outside, one could only find it by waiting.
type idleTimeout struct{}

func (idleTimeout) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.e2e_idle_timeout", New: func() caddy.Module { return new(idleTimeout) }}
}

func (idleTimeout) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return errors.New("the request has no server")
	}
	_, err := io.WriteString(w, server.IdleTimeout.String())
	return err
}

// eventWriter is a handler of events, as an operator could add one. It writes the events into the log.
type eventWriter struct{ logger *zap.Logger }

func (*eventWriter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.e2e", New: func() caddy.Module { return new(eventWriter) }}
}

func (w *eventWriter) Provision(ctx caddy.Context) error {
	w.logger = ctx.Logger()
	return nil
}

func (*eventWriter) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

func (w *eventWriter) Handle(_ context.Context, e caddy.Event) error {
	if e.Origin() == nil || e.Origin().CaddyModule().ID != "matrix_push" {
		return nil
	}
	var data []string
	for _, k := range slices.Sorted(maps.Keys(e.Data)) {
		data = append(data, fmt.Sprintf("%s=%v", k, e.Data[k]))
	}
	w.logger.Info("event was handled", zap.String("event", e.Name()+" "+strings.Join(data, " ")))
	return nil
}

// noOptions is the Caddyfile syntax of a provider without options.
type noOptions struct{}

func (noOptions) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() || d.NextBlock(d.Nesting()) {
		return d.ArgErr()
	}
	return nil
}

// stubborn never returns from Push, whatever its context says.
type stubborn struct{ noOptions }

func (*stubborn) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.stubborn", New: func() caddy.Module { return new(stubborn) }}
}

func (*stubborn) Push(context.Context, *providers.Push) providers.Outcome { select {} }

// volcanic panics in each of its methods.
type volcanic struct{ noOptions }

func (*volcanic) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.volcanic", New: func() caddy.Module { return new(volcanic) }}
}

func (*volcanic) Push(context.Context, *providers.Push) providers.Outcome { panic("magma") }
func (*volcanic) Host(*providers.Device) string                           { panic("magma") }
func (*volcanic) Usable(*providers.Device, providers.Site) error          { panic("magma") }
func (*volcanic) DefaultContent(*providers.Device) providers.Content      { panic("magma") }
func (*volcanic) DefaultBadges() providers.Badges                         { panic("magma") }
func (*volcanic) DefaultWait() time.Duration                              { panic("magma") }
func (*volcanic) Warm(context.Context) error                              { panic("magma") }
func (*volcanic) CredentialExpiry() time.Time                             { panic("magma") }
func (*volcanic) Check(context.Context) error                             { panic("magma") }
func (*volcanic) Advertise() providers.Advertisement                      { panic("magma") }

// subscribed returns a configuration whose events are written into the log.
func subscribed(config string) string {
	return strings.Replace(config, "grace_period 10s", "grace_period 10s\nevents {\n on * e2e\n}", 1)
}

// event waits for an event.
func (p *process) event(want string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	line, _ := json.Marshal(want)
	if !p.log.wait(ctx, `"event":`+string(line)) {
		p.t.Errorf("there was no event %s", want)
	}
}
