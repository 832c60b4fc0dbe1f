// Package off is the outbox of a gateway that keeps no pushes: retrying is left to the homeserver.
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
	caddy.RegisterModule(new(Box))
}

// Box keeps no pushes. If a push is neither delivered nor rejected within the app's `wait`, the gateway answers with 503 and `Retry-After`.
// The homeserver then sends the push again.
//
//	outbox off
type Box struct{}

// CaddyModule returns the module's name and constructor.
func (*Box) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.outbox.off", New: func() caddy.Module { return new(Box) }}
}

// UnmarshalCaddyfile takes no arguments and no block.
func (*Box) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return caddyfileopt.Module(d, nil, caddyfileopt.Unknown("outbox off"))
}

// Accept returns ErrOff.
func (*Box) Accept(context.Context, outbox.Entry) ([]outbox.Ref, error) { return nil, outbox.ErrOff }

// Settle does nothing.
func (*Box) Settle(context.Context, outbox.Ref) error { return nil }

// Release does nothing.
func (*Box) Release(context.Context, outbox.Ref, time.Time, bool) error { return nil }

// Waiting returns false.
func (*Box) Waiting(context.Context, string, [16]byte) (bool, error) { return false, nil }

// WaitingNow returns false.
func (*Box) WaitingNow(string, [16]byte) (bool, error) { return false, nil }

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Box)(nil)
	_ outbox.Box            = (*Box)(nil)
	_ outbox.Prompt         = (*Box)(nil)
)
