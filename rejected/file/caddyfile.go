package file

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/rejected/internal/options"
)

// UnmarshalCaddyfile reads
//
//	rejected file [<path>] {
//		expire      <duration>
//		max_entries <n>
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
	return options.Read(d, s.set)
}

func (s *Store) set(option, value string) error {
	switch option {
	case "max_entries":
		return options.MaxEntries(value, &s.MaxEntries)
	case "expire":
		return options.Expire(value, &s.Expire)
	default:
		return fmt.Errorf("rejected file has no option %q", option)
	}
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Store)(nil)
