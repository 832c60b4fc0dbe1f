package file

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile reads
//
//	rejected file [<path>] {
//		expire <duration>
//	}
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name
	if d.NextArg() {
		if s.Path = d.Val(); s.Path == "" {
			return d.Err("the path is empty")
		}
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if option := d.Val(); option != "expire" {
			return d.Errf("rejected file has no option %q", option)
		}
		if s.Expire != 0 {
			return d.Err("expire is given twice")
		}
		var arg string
		if !d.AllArgs(&arg) {
			return d.ArgErr()
		}
		expire, err := caddy.ParseDuration(arg)
		if err != nil || expire <= 0 {
			return d.Errf("expire: %q is not a positive duration", arg)
		}
		s.Expire = caddy.Duration(expire)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Store)(nil)
