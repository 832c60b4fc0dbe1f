// Package unifiedpush delivers to UnifiedPush endpoints, https://unifiedpush.org/developers/spec/server/.
package unifiedpush

import (
	"context"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
)

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider delivers to UnifiedPush endpoints: ntfy, NextPush, Mozilla's autopush and others. The pushkey is the endpoint's URL, the
// message the notification as the homeserver sent it, with no more of its devices than the one it is for:
//
//	{"notification": {"event_id": "$…", "room_id": "!…", "prio": "high", "counts": {"unread": 1},
//	                  "devices": [{"app_id": "…", "data": {"client_name": "…"}}]}}
//
// If the pusher's data has the subscription's keys (`p256dh` and `auth`, directly or below `keys`), the message is encrypted as RFC
// 8291 says, signed for as RFC 8292 says, and has everything in it. Otherwise it travels in the clear and has only ids, counts, the
// members of MSC3013, and of the device's data `client_name` and `default_payload.user_id` in it, by which clients with several accounts
// know the right one, unless the app's `content` is `full`. A pushkey or a key is never in it.
//
// A notification that does not fit into 4096 bytes loses its device first, then its content but for what clients show, of which the body is
// cut, then its names, then everything but ids and counts.
type Provider struct {
	webpushmessage.Options

	sender webpushmessage.Sender
}

// CaddyModule returns the module's name and constructor.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.unifiedpush", New: func() caddy.Module { return new(Provider) }}
}

// Provision checks the options.
func (p *Provider) Provision(ctx caddy.Context) error { return p.sender.Provision(ctx, &p.Options) }

// Mounted names one of the sites to push servers, if there is one. Those that UnifiedPush has want no subject; autopush does not either,
// from 1.74.0 on (autopush-rs#831).
func (p *Provider) Mounted(hosts []string) error {
	p.sender.Mounted(hosts)
	return nil
}

// Start makes the VAPID key if there is none yet.
func (p *Provider) Start(ctx context.Context) error { return p.sender.Start(ctx) }

// Cleanup lets go of the connections.
func (p *Provider) Cleanup() error { return p.sender.Close() }

// DefaultContent lets everything leave if only the subscriber can read it.
func (p *Provider) DefaultContent(d *providers.Device) providers.Content {
	if keys, err := subscriptionKeys(d.Data); err == nil && keys != nil {
		return providers.ContentFull
	}
	return providers.ContentIDs
}

// Advertise tells clients that the endpoint is a gateway for UnifiedPush, and the key to subscribe with at push servers that want one
// (https://unifiedpush.org/developers/spec/android/, version 3).
func (p *Provider) Advertise() providers.Advertisement {
	return providers.Advertisement{UnifiedPush: true, ApplicationServerKey: p.sender.PublicKey()}
}

// Interface guards
var (
	_ caddy.Provisioner          = (*Provider)(nil)
	_ caddy.CleanerUpper         = (*Provider)(nil)
	_ providers.Hoster           = (*Provider)(nil)
	_ providers.Provider         = (*Provider)(nil)
	_ providers.Mounted          = (*Provider)(nil)
	_ providers.Usable           = (*Provider)(nil)
	_ providers.Reducer          = (*Provider)(nil)
	_ providers.Starter          = (*Provider)(nil)
	_ providers.ContentDefaulter = (*Provider)(nil)
	_ providers.Advertiser       = (*Provider)(nil)
)
