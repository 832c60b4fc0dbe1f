package apns

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// UnmarshalCaddyfile reads the provider's block:
//
//	apns {
//		environment production|sandbox
//		topic       <bundle id>
//		key_file    <file>
//		key_id      <id>
//		team_id     <id>
//		# or, in place of the key:
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
	d.Next() // the provider's name
	if d.NextArg() {
		return d.ArgErr()
	}
	options := map[string]*string{
		"environment": &p.Environment, "topic": &p.Topic,
		"key_file": &p.KeyFile, "key_id": &p.KeyID, "team_id": &p.TeamID,
		"certificate_password": &p.CertificatePassword,
		"push_type":            &p.PushType, "collapse_id": &p.CollapseID, "thread_id": &p.ThreadID,
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := p.unmarshalOption(d, options); err != nil {
			return err
		}
	}
	return nil
}

func (p *Provider) unmarshalOption(d *caddyfile.Dispenser, options map[string]*string) error {
	if option, ok := options[d.Val()]; ok {
		return network.Once(d, option)
	}
	if d.Val() == "certificate_file" {
		return p.unmarshalCertificate(d)
	}
	known, err := p.UnmarshalOption(d)
	if err == nil && !known {
		return d.Errf("apns has no option %q", d.Val())
	}
	return err
}

// unmarshalCertificate reads the certificate's file, and that of its key if it has one of its own.
func (p *Provider) unmarshalCertificate(d *caddyfile.Dispenser) error {
	if p.CertificateFile != "" {
		return d.Err("certificate_file is given twice")
	}
	files := d.RemainingArgs()
	switch len(files) {
	case 2:
		p.CertificateKeyFile = files[1]
		fallthrough
	case 1:
		p.CertificateFile = files[0]
	default:
		return d.ArgErr()
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Provider)(nil)
