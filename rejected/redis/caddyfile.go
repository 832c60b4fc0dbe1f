package redis

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
)

// UnmarshalCaddyfile reads
//
//	rejected redis [<url>] {
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
//		expire            <duration>
//	}
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return redisclient.Unmarshal(d, "rejected redis", &s.Address, map[string]caddyfileopt.Option{
		"shards": caddyfileopt.Once(&s.Shards, redisclient.ParseShards),
		"prefix": caddyfileopt.Once(&s.Prefix, redisclient.ParsePrefix),
		"expire": caddyfileopt.Once(&s.Expire, caddyfileopt.PositiveDuration),
	})
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Store)(nil)
