package caddymodule

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
)

// pool keeps the state that outlives a configuration, as long as any configuration uses it.
var pool = caddy.NewUsagePool()

const poolKey = "gateway"

// pooledState is the engine's shared state in the form that Caddy's pool needs.
type pooledState struct {
	*gateway.Shared
	// grace is the grace period of the last stopped configuration, in nanoseconds. 0 means no limit, as in Caddy.
	grace atomic.Int64
	// setup is what was last logged about a configuration.
	setup atomic.Pointer[telemetry.Setup]
}

func newShared() (caddy.Destructor, error) { return &pooledState{Shared: gateway.NewShared()}, nil }

// Destruct waits for the pushes in flight when the process ends. No request waits for them any more, but a push that is cut off would be
// sent again. It waits at most for Caddy's grace period, or for as long as a push may take: the rest is in the outbox. If the process does
// not end, it does not wait, as the pushes go on.
func (s *pooledState) Destruct() error {
	defer s.Close()
	if !caddy.Exiting() {
		return nil
	}
	grace := time.Duration(s.grace.Load())
	if grace <= 0 {
		grace = gateway.MaxFlight // a provider that ignores its context would keep the process alive for good
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	s.Drain(ctx)
	return nil
}

// GracePeriod returns how long a configuration lets requests finish; 0 means no limit.
func GracePeriod(ctx caddy.Context) time.Duration {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return 0 // there are no requests
	}
	return time.Duration(app.(*caddyhttp.App).GracePeriod)
}
