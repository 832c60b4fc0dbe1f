package memory

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
)

// UnmarshalCaddyfile reads
//
//	rejected memory {
//		max_entries <n>
//		expire      <duration>
//	}
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return caddyfileopt.Module(d, map[string]caddyfileopt.Option{
		"max_entries": caddyfileopt.Once(&s.MaxEntries, caddyfileopt.Positive),
		"expire":      caddyfileopt.Once(&s.Expire, caddyfileopt.PositiveDuration),
	}, caddyfileopt.Unknown("rejected memory"))
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Store)(nil)
