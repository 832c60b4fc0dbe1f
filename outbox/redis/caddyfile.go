package redis

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
)

// UnmarshalCaddyfile reads
//
//	outbox redis <url> {
//		prefix         <prefix>
//		shards         <number>
//		max_per_app    <pushes>
//		max_per_device <pushes>
//		max_size       <size>
//	}
func (b *Box) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name
	if !d.AllArgs(&b.URL) {
		return caddyfileopt.Args(d, "outbox redis", "<url>, such as redis://user:{env.REDIS_PASSWORD}@host:6379/0")
	}
	if b.URL == "" {
		return d.Err("outbox redis: the URL is empty: write one such as redis://user:{env.REDIS_PASSWORD}@host:6379/0")
	}
	options := b.options().Caddyfile()
	options["shards"] = caddyfileopt.Once(&b.Shards, redisclient.ParseShards)
	options["prefix"] = caddyfileopt.Once(&b.Prefix, redisclient.ParsePrefix)
	return caddyfileopt.Block(d, options, caddyfileopt.Unknown("outbox redis"))
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Box)(nil)
