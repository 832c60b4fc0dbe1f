package apns

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
)

// UnmarshalCaddyfile reads the provider's block:
//
//	apns {
//		environment production|sandbox
//		topic       <bundle id>
//		key_file    <file>
//		key_id      <id>
//		team_id     <id>
//		# or, instead of the key:
//		certificate_file     <file> [<key file>]
//		certificate_password <password>
//
//		push_type   <type>
//		collapse_id room|event|off
//		thread_id   room|off
//		endpoint    <url>
//		trusted_ca  <file>
//		proxy       <url>|none
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return caddyfileopt.Module(d, map[string]caddyfileopt.Option{
		"environment":          caddyfileopt.Text(&p.Environment),
		"topic":                caddyfileopt.Text(&p.Topic),
		"key_file":             caddyfileopt.Text(&p.KeyFile),
		"key_id":               caddyfileopt.Text(&p.KeyID),
		"team_id":              caddyfileopt.Text(&p.TeamID),
		"certificate_file":     p.unmarshalCertificate,
		"certificate_password": caddyfileopt.Text(&p.CertificatePassword),
		"push_type":            caddyfileopt.Text(&p.PushType),
		"collapse_id":          caddyfileopt.Text(&p.CollapseID),
		"thread_id":            caddyfileopt.Text(&p.ThreadID),
	}, caddyfileopt.Embedded("apns", &p.Options))
}

// unmarshalCertificate reads the certificate's file, and the file of its key if that is separate.
func (p *Provider) unmarshalCertificate(d *caddyfile.Dispenser) error {
	if p.CertificateFile != "" {
		return caddyfileopt.Twice(d)
	}
	name := d.Val()
	files := d.RemainingArgs()
	switch len(files) {
	case 2:
		p.CertificateKeyFile = files[1]
		fallthrough
	case 1:
		p.CertificateFile = files[0]
	default:
		return caddyfileopt.Args(d, name, "<file> [<key file>]")
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Provider)(nil)
