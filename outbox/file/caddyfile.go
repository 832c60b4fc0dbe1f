package file

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
)

// UnmarshalCaddyfile reads
//
//	outbox file [<path>] {
//		max_per_app    <pushes>
//		max_per_device <pushes>
//		max_size       <size>
//	}
func (b *Box) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name
	if d.NextArg() {
		if b.Path = d.Val(); b.Path == "" {
			return d.Err("outbox file: the path is empty: write a path, or leave it out")
		}
	}
	if d.NextArg() {
		return caddyfileopt.Args(d, "outbox file", "[<path>]")
	}
	return caddyfileopt.Block(d, b.options().Caddyfile(), caddyfileopt.Unknown("outbox file"))
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Box)(nil)
