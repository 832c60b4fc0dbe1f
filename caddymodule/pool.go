package caddymodule

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// pool keeps what outlives configurations for as long as any configuration uses it.
var pool = caddy.NewUsagePool()

const poolKey = "gateway"

// pooledState is the engine's shared state as Caddy's pool wants it.
type pooledState struct{ *gateway.Shared }

func newShared() (caddy.Destructor, error) { return &pooledState{gateway.NewShared()}, nil }

// Destruct lets a process that ends finish the pushes that are on their way, after the last request was answered: what it learns of
// them is for nobody, but a push that is cut off would be sent again. Otherwise they end by themselves.
func (s *pooledState) Destruct() error {
	if caddy.Exiting() {
		s.Drain()
	}
	return nil
}
