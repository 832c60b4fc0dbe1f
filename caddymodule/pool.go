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

// Destruct has nothing to free: attempts under way end by themselves.
func (*pooledState) Destruct() error { return nil }
