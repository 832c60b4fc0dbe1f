package caddymodule

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// pool keeps what outlives configurations for as long as any configuration uses it.
var pool = caddy.NewUsagePool()

const poolKey = "gateway"

// pooledState is the engine's shared state as Caddy's pool wants it.
type pooledState struct {
	*gateway.Shared
	// grace is the grace period of the configuration that was stopped last, in nanoseconds; 0 for without an end, as it is Caddy's.
	grace atomic.Int64
}

func newShared() (caddy.Destructor, error) { return &pooledState{Shared: gateway.NewShared()}, nil }

// Destruct lets a process that ends finish the pushes that are on their way, after the last request was answered: what it learns of
// them is for nobody, but a push that is cut off would be sent again. That takes no longer than Caddy's grace period, or than any push may
// take: the rest is in the outbox. When the process does not end, neither do they need to be waited for.
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

// gracePeriod is how long a configuration lets requests finish; 0 for as long as they take.
func gracePeriod(ctx caddy.Context) time.Duration {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return 0 // there are no requests
	}
	return time.Duration(app.(*caddyhttp.App).GracePeriod)
}
