package unifiedpush

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// UnmarshalCaddyfile reads the provider's block:
//
//	unifiedpush {
//		allow_private  <cidr…>
//		own_paths      <path…>
//		vapid_subject  <mailto: or https: URL>
//		vapid_key_file <file>
//		endpoint       <url>
//		trusted_ca     <file>
//		proxy          <url>|none
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return p.Options.Unmarshal(d) }

// Interface guard
var _ caddyfile.Unmarshaler = (*Provider)(nil)
