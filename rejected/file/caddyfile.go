package file

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
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
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("%s is given twice", option)
		}
		seen[option] = true
		if err := s.unmarshalOption(d, option); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	if option != "expire" && option != "max_entries" {
		return d.Errf("rejected file has no option %q", option)
	}
	var arg string
	if !d.AllArgs(&arg) {
		return d.ArgErr()
	}
	if option == "max_entries" {
		n, err := strconv.Atoi(arg)
		if err != nil || n <= 0 {
			return d.Errf("max_entries: %q is not a positive number", arg)
		}
		s.MaxEntries = n
		return nil
	}
	expire, err := caddy.ParseDuration(arg)
	if err != nil || expire <= 0 {
		return d.Errf("expire: %q is not a positive duration", arg)
	}
	s.Expire = caddy.Duration(expire)
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Store)(nil)
