package redis

import (
	"maps"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
)

// UnmarshalCaddyfile reads
//
//	outbox redis [<url>] {
//		sentinel          <name> <host:port>...
//		cluster           <host:port>...
//		username          <user>
//		password          <password>
//		sentinel_username <user>
//		sentinel_password <password>
//		database          <number>
//		dial_timeout      <duration>
//		read_timeout      <duration>
//		tls {
//			trusted_ca       <file>
//			certificate_file <file> [<key file>]
//			server_name      <name>
//		}
//		prefix            <prefix>
//		shards            <number>
//		acknowledge       memory|disk|replicas <number>
//		max_per_app       <pushes>
//		max_per_device    <pushes>
//		max_size          <size>
//		max_events        <events>
//	}
func (b *Box) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	options := b.options().Caddyfile()
	maps.Copy(options, map[string]caddyfileopt.Option{
		"acknowledge": redisclient.UnmarshalAcknowledge(&b.Acknowledge),
		"max_events":  caddyfileopt.Once(&b.MaxEvents, caddyfileopt.Positive),
		"prefix":      caddyfileopt.Once(&b.Prefix, redisclient.ParsePrefix),
		"shards":      caddyfileopt.Once(&b.Shards, redisclient.ParseShards),
	})
	return redisclient.Unmarshal(d, "outbox redis", &b.Address, options)
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Box)(nil)
