package file

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
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
			return d.Err("rejected file: the path is empty: write a path, or leave it out")
		}
	}
	if d.NextArg() {
		return caddyfileopt.Args(d, "rejected file", "[<path>]")
	}
	return caddyfileopt.Block(d, map[string]caddyfileopt.Option{
		"expire":      caddyfileopt.Once(&s.Expire, caddyfileopt.PositiveDuration),
		"max_entries": caddyfileopt.Once(&s.MaxEntries, caddyfileopt.Positive),
	}, caddyfileopt.Unknown("rejected file"))
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Store)(nil)
