package redis

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile reads
//
//	rejected redis <url> {
//		prefix <prefix>
//		expire <duration>
//	}
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name
	if !d.AllArgs(&s.URL) {
		return d.ArgErr()
	}
	if s.URL == "" {
		return d.Err("the URL is empty")
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
		if err := s.setOption(option, arg); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

func (s *Store) setOption(option, arg string) error {
	switch option {
	case "prefix":
		if s.Prefix = arg; arg == "" {
			return fmt.Errorf("prefix: %q is no prefix", arg)
		}
	case "expire":
		expire, err := caddy.ParseDuration(arg)
		if err != nil || expire <= 0 {
			return fmt.Errorf("expire: %q is not a positive duration", arg)
		}
		s.Expire = caddy.Duration(expire)
	default:
		return fmt.Errorf("rejected redis has no option %q", option)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Store)(nil)
