// Package off is the outbox of a gateway that keeps nothing: the homeserver is the one to try again.
package off

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func init() {
	caddy.RegisterModule(Box{})
}

// Box takes nothing. A push without a verdict in time is answered with 503 and `Retry-After`, and the homeserver sends it again.
//
//	outbox off
type Box struct{}

// CaddyModule returns the module's name and constructor.
func (Box) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.outbox.off", New: func() caddy.Module { return new(Box) }}
}

// UnmarshalCaddyfile takes no arguments and no block.
func (*Box) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return caddyfileopt.Module(d, nil, caddyfileopt.Unknown("outbox off"))
}

// Accept takes nothing.
func (*Box) Accept(context.Context, outbox.Entry) ([]outbox.Ref, error) { return nil, outbox.ErrOff }

// Settle has nothing to remove.
func (*Box) Settle(context.Context, outbox.Ref) error { return nil }

// Release has nothing to give back.
func (*Box) Release(context.Context, outbox.Ref, time.Time, bool) error { return nil }

// Waiting is never true.
func (*Box) Waiting(context.Context, string, [16]byte) (bool, error) { return false, nil }

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Box)(nil)
	_ outbox.Box            = (*Box)(nil)
)
