package file

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
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
			return d.Err("the path is empty")
		}
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	given := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if given[option] {
			return d.Errf("%s is given twice", option)
		}
		given[option] = true
		var arg string
		if !d.AllArgs(&arg) {
			return d.ArgErr()
		}
		if err := b.setOption(option, arg); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

func (b *Box) setOption(option, arg string) error {
	switch err := b.options().Set(option, arg); {
	case err == nil:
		return nil
	case errors.Is(err, bounds.ErrUnknown):
		return fmt.Errorf("outbox file has no option %q", option)
	default:
		return fmt.Errorf("%s: %w", option, err)
	}
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Box)(nil)
