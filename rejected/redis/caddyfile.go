package redis

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
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
		return caddyfileopt.Args(d, "rejected redis", "<url>, such as redis://user:{env.REDIS_PASSWORD}@host:6379/0")
	}
	if s.URL == "" {
		return d.Err("rejected redis: the URL is empty: write one such as redis://user:{env.REDIS_PASSWORD}@host:6379/0")
	}
	return caddyfileopt.Block(d, map[string]caddyfileopt.Option{
		"prefix": caddyfileopt.Once(&s.Prefix, redisclient.ParsePrefix),
		"expire": caddyfileopt.Once(&s.Expire, caddyfileopt.PositiveDuration),
	}, caddyfileopt.Unknown("rejected redis"))
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Store)(nil)
