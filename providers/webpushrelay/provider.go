// Package webpushrelay relays messages that their sender has already encrypted to Web Push subscriptions (RFC 8030), with the sender's own
// VAPID token (RFC 8292). XMPP servers send such messages: https://modules.prosody.im/mod_push2.html.
package webpushrelay

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
)

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider relays messages to Web Push subscriptions. The sender, such as an XMPP server with Push 2.0, has already encrypted each message
// (RFC 8291) and signed its own VAPID token (RFC 8292). The gateway can't read the message, and needs no key.
//
// The pushkey is the subscription's endpoint, an https URL. The pusher's data contains what the gateway sends:
//
//	{"payload": "<the encrypted message in base64>", "jwt": "<the VAPID token>", "key": "<the sender's public key in base64>"}
//
// Without `payload`, the gateway sends an empty message, which only wakes the app. `jwt` and `key` can be omitted together if the push
// server requires no token. Of the notification, only the priority is sent. The gateway drops badge updates.
//
// Anybody who may send notifications for the app chooses where a message goes. Therefore, `hosts` must list the push servers.
type Provider struct {
	endpoint.Options

	// The push servers that messages may go to: a list of host names, such as `updates.push.services.mozilla.com`. `*.push.apple.com` means
	// all names below `push.apple.com`. Messages to other hosts are dropped. Required.
	Hosts []string `json:"hosts,omitempty"`

	client *endpoint.Client
	hosts  hosts
	now    func() time.Time
}

// CaddyModule returns the module's name and constructor.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.webpush_relay", New: func() caddy.Module { return new(Provider) }}
}

// Provision checks the options.
func (p *Provider) Provision(ctx caddy.Context) (err error) {
	p.now = time.Now
	if p.hosts, err = parseHosts(p.Hosts); err != nil {
		return err
	}
	p.client, err = endpoint.NewClient(ctx, &p.Options)
	return err
}

// Cleanup releases the connections.
func (p *Provider) Cleanup() error { return p.client.Close() }

// Interface guards
var (
	_ caddy.Provisioner   = (*Provider)(nil)
	_ caddy.CleanerUpper  = (*Provider)(nil)
	_ providers.Provider  = (*Provider)(nil)
	_ providers.Starter   = (*Provider)(nil)
	_ providers.Hoster    = (*Provider)(nil)
	_ providers.Reducer   = (*Provider)(nil)
	_ providers.Previewer = (*Provider)(nil)
	_ providers.Explainer = (*Provider)(nil)
)
