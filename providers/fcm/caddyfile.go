package fcm

import (
	"encoding/json"
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
	"github.com/matrix-push/caddy-matrix-push/internal/fcmmessage"
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
	embedded := caddyfileopt.Embedded("fcm", &p.Options)
	return caddyfileopt.Module(d, map[string]caddyfileopt.Option{
		"credentials_file": caddyfileopt.Text(&p.CredentialsFile),
		"project_id":       caddyfileopt.Text(&p.ProjectID),
		"target":           caddyfileopt.Text(&p.Target),
		"notification":     jsonObject(&p.Notification),
		"android":          jsonObject(&p.Android),
		"android_v2":       jsonObject(&p.AndroidV2),
		"apns":             jsonObject(&p.APNS),
		"webpush":          jsonObject(&p.Webpush),
		"fcm_options":      jsonObject(&p.FCMOptions),
	}, func(d *caddyfile.Dispenser, own []string) error {
		if why := fcmmessage.Message.Ours(d.Val()); why != "" {
			return d.Errf("%s: %s: leave it out", d.Val(), why)
		}
		return embedded(d, own)
	})
}

// jsonObject reads an option whose argument is a JSON object.
func jsonObject(into *json.RawMessage) caddyfileopt.Option {
	return func(d *caddyfile.Dispenser) error {
		name, text := d.Val(), string(*into)
		if err := caddyfileopt.TextLike(&text, "<JSON object>, in backquotes: "+name+" `{…}`")(d); err != nil {
			return err
		}
		if err := checkObject([]byte(text)); err != nil {
			return d.Errf("%s: %v", name, err)
		}
		*into = json.RawMessage(text)
		return nil
	}
}

func checkObject(raw []byte) error {
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		return errors.New("not a JSON object: write it in backquotes, and its names in double quotes")
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Provider)(nil)
