package caddymodule

import (
	"context"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// setup returns what the log shows about this configuration.
func (a *App) setup() *telemetry.Setup {
	s := &telemetry.Setup{
		Apps:     make(map[string]string),
		Rejected: caddy.GetModuleName(a.gateway.Rejected),
		Outbox:   caddy.GetModuleName(a.gateway.Outbox),
	}
	for _, app := range a.gateway.Router.Apps() {
		s.Apps[app.Pattern] = app.ProviderName
	}
	if store, ok := a.gateway.Rejected.(rejected.Located); ok {
		s.Rejected += " " + store.Location()
	}
	if box, ok := a.gateway.Outbox.(outbox.Located); ok {
		s.Outbox += " " + box.Location()
	}
	return s
}

// announce logs the setup of a configuration that has gone live, if it differs from the one before. Like warm, it waits until all of Caddy's
// apps have started: a configuration that never went live is not announced.
func (a *App) announce(ctx context.Context, shared *pooledState) {
	select {
	case <-a.events.AllStarted():
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return
	}
	s := a.setup()
	switch before := shared.setup.Swap(s); {
	case before == nil:
		a.observer.Started(s)
	case !before.Equal(s):
		a.observer.SetupChanged(s)
	}
}
