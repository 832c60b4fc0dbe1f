package redis

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/rejected/internal/options"
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
	return options.Read(d, s.set)
}

func (s *Store) set(option, value string) error {
	switch option {
	case "prefix":
		if s.Prefix = value; value == "" {
			return fmt.Errorf("prefix: %q is no prefix", value)
		}
		return nil
	case "expire":
		return options.Expire(value, &s.Expire)
	default:
		return fmt.Errorf("rejected redis has no option %q", option)
	}
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Store)(nil)
