package fcm

import (
	"encoding/json"
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/fcmmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// UnmarshalCaddyfile reads the provider's block:
//
//	fcm {
//		credentials_file <file>
//		project_id       <id>
//		target           token|fid
//		notification     <json>
//		android          <json>
//		android_v2       <json>
//		apns             <json>
//		webpush          <json>
//		fcm_options      <json>
//		endpoint         <url>
//		trusted_ca       <file>
//		proxy            <url>|none
//	}
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the provider's name
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := p.unmarshalOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (p *Provider) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "credentials_file":
		return network.Once(d, &p.CredentialsFile)
	case "project_id":
		return network.Once(d, &p.ProjectID)
	case "target":
		return network.Once(d, &p.Target)
	case "notification":
		return unmarshalObject(d, &p.Notification)
	case "android":
		return unmarshalObject(d, &p.Android)
	case "android_v2":
		return unmarshalObject(d, &p.AndroidV2)
	case "apns":
		return unmarshalObject(d, &p.APNS)
	case "webpush":
		return unmarshalObject(d, &p.Webpush)
	case "fcm_options":
		return unmarshalObject(d, &p.FCMOptions)
	}
	if why := fcmmessage.Message.Ours(d.Val()); why != "" {
		return d.Errf("%s: %s: leave it out", d.Val(), why)
	}
	known, err := p.UnmarshalOption(d)
	if err == nil && !known {
		return d.Errf("fcm has no option %q", d.Val())
	}
	return err
}

// unmarshalObject reads an option whose argument is a JSON object.
func unmarshalObject(d *caddyfile.Dispenser, into *json.RawMessage) error {
	name, text := d.Val(), string(*into)
	if err := network.Once(d, &text); err != nil {
		return err
	}
	if err := checkObject([]byte(text)); err != nil {
		return d.Errf("%s: %v", name, err)
	}
	*into = json.RawMessage(text)
	return nil
}

func checkObject(raw []byte) error {
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		return errors.New("not a JSON object")
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Provider)(nil)
