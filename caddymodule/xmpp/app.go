package xmpp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/matrix-push/caddy-matrix-push/caddymodule"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/internal/jsonopt"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is a push service for XMPP servers. It connects to an XMPP server as one or more components (XEP-0114). It receives the pushes that
// servers send to these components (XEP-0357, and Push 2.0). The app `matrix_push` delivers these pushes, so the same apps, stores and
// limits apply.
type App struct {
	// The components. Each name is the component's domain, as the XMPP server's configuration has it.
	Components map[string]*Component `json:"components,omitempty"`

	ctx      caddy.Context
	gateway  *caddymodule.App
	observer *telemetry.Observer
	services []*service // in alphabetical order

	mu      sync.Mutex
	stopped bool
	joined  []*connection // those of the services, once all of Caddy's apps have started
}

// CaddyModule returns the module's name and constructor.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xmpp_push", New: func() caddy.Module { return new(App) }}
}

// UnmarshalJSON decodes the options. Its errors name the option.
func (a *App) UnmarshalJSON(raw []byte) error {
	type options App // without this method
	return jsonopt.Decode(raw, (*options)(a))
}

// Provision checks the options. It connects to nothing.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	if err := telemetry.RegisterXMPP(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	gateway, err := ctx.App("matrix_push")
	if err != nil {
		return err
	}
	a.gateway = gateway.(*caddymodule.App)
	a.observer = telemetry.NewObserver(ctx.Logger(), a.gateway.Emit)
	if len(a.Components) == 0 {
		return fmt.Errorf("components: there is none: add a component, or remove xmpp_push from the configuration")
	}
	for _, jid := range slices.Sorted(maps.Keys(a.Components)) { // sorted, so the first error is always the same
		s, err := a.Components[jid].provision(jid, a.gateway)
		if err != nil {
			return fmt.Errorf("component %q: %w", jid, err)
		}
		if slices.ContainsFunc(a.services, func(other *service) bool { return other.jid == s.jid }) {
			return fmt.Errorf("component %q: it is given twice, in other letters: remove one of them", jid)
		}
		a.services = append(a.services, s)
	}
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	return events.(*caddyevents.App).On("started", allStarted{a})
}

// startTime limits how long the keys of nodes may take to be read or made.
const startTime = 30 * time.Second

// Start reads the keys of the nodes, or makes them. It connects to nothing: a configuration that does not go live must not.
func (a *App) Start() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for _, s := range a.services {
		if err := s.openRing(ctx, a.ctx.Storage()); err != nil {
			return fmt.Errorf("component %q: the keys of nodes: %w", s.jid, err)
		}
	}
	return nil
}

// allStarted handles the event that all of Caddy's apps have started. The configuration before is stopped only after that, so each stanza
// has a service that works.
type allStarted struct{ *App }

// Handle implements caddyevents.Handler.
func (a allStarted) Handle(context.Context, caddy.Event) error {
	a.join()
	return nil
}

// join takes over the connections that there are, and opens the others.
func (a *App) join() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	for _, s := range a.services {
		c := connect(s)
		c.status.Use(a.observer)
		c.use(s)
		a.joined = append(a.joined, c)
	}
}

// Stop leaves the connections to the next configuration. It ends those that the next one does not have, once the pushes in hand are
// answered.
func (a *App) Stop() error {
	a.mu.Lock()
	a.stopped = true
	joined := a.joined
	a.joined = nil
	a.mu.Unlock()
	var parts sync.WaitGroup
	for i, c := range joined {
		parts.Go(func() { disconnect(c, a.services[i], caddymodule.GracePeriod(a.ctx)) })
	}
	parts.Wait()
	a.observer.Retire()
	return nil
}

// Interface guards
var (
	_ caddy.App         = (*App)(nil)
	_ caddy.Provisioner = (*App)(nil)
)
