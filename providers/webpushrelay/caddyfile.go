package webpushrelay

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
)

// UnmarshalCaddyfile reads the provider's block:
//
//	webpush_relay {
//		hosts         <host…>
//		allow_private <cidr…>
//		own_paths     <path…>
//		endpoint      <url>
//		trusted_ca    <file>
//		proxy         <url>|none
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	options := map[string]caddyfileopt.Option{"hosts": caddyfileopt.Texts(&p.Hosts, "<host> …, such as *.push.apple.com")}
	return caddyfileopt.Module(d, options, caddyfileopt.Embedded("webpush_relay", &p.Options))
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Provider)(nil)
