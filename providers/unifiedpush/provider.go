// Package unifiedpush delivers to UnifiedPush endpoints, https://unifiedpush.org/developers/spec/server/.
package unifiedpush

import (
	"context"
	"errors"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/pooled"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/readonce"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
)

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider delivers to UnifiedPush endpoints, such as those of ntfy, NextPush and Mozilla's autopush. The pushkey is the endpoint's URL.
// The message is the homeserver's notification. Its list `devices` has only the device that the push is for:
//
//	{"notification": {"event_id": "$…", "room_id": "!…", "prio": "high", "counts": {"unread": 1},
//	                  "devices": [{"app_id": "…", "data": {"client_name": "…"}}]}}
//
// If the pusher's data has the subscription's keys, the gateway encrypts the message (RFC 8291), signs the request (RFC 8292) and sends the
// whole notification. The keys are `p256dh` and `auth`. They can be members of the data itself, or of an object `keys` in the data.
//
// Without these keys, the message is not encrypted. It then contains only IDs, counts, the priority and the members that MSC3013 defines,
// unless the app has `content full`.
//
// Without `content full`, an unencrypted message contains at most two members of the device's data: `client_name` and
// `default_payload.user_id`. With these members, a client with several accounts can tell which account the message is for. The message
// never contains the pushkey or the subscription's keys.
//
// A message can have at most 4096 bytes. If a message is too large, the gateway removes parts in the following order, until the message
// fits. First, it leaves out the device, then content that clients do not show. Then it shortens the text, and then it leaves out names,
// such as the room's name. Finally, it leaves out everything except IDs, counts and the priority.
type Provider struct {
	webpushmessage.Options

	sender webpushmessage.Sender
	known  *readonce.Devices[webpushmessage.Target] // nil before Provision
	share  *pooled.Share[*readonce.Devices[webpushmessage.Target]]
}

// known has the devices of all apps, so strangers can't use more memory with more apps.
var known = pooled.NewPool[*readonce.Devices[webpushmessage.Target]]()

// CaddyModule returns the module's name and constructor.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.unifiedpush", New: func() caddy.Module { return new(Provider) }}
}

// Provision checks the options.
func (p *Provider) Provision(ctx caddy.Context) (err error) {
	if p.share, err = known.Take("", readonce.New[webpushmessage.Target]); err != nil {
		return err
	}
	p.known = p.share.Value
	return p.sender.Provision(ctx, &p.Options)
}

// Mounted names one of the sites to push servers, if there is one. UnifiedPush's servers require no subject, nor does autopush from 1.74.0
// on (autopush-rs#831).
func (p *Provider) Mounted(hosts []string) error {
	p.sender.Mounted(hosts)
	return nil
}

// Start makes the VAPID key if there is none yet.
func (p *Provider) Start(ctx context.Context) error { return p.sender.Start(ctx) }

// CheckStart returns why Start would fail.
func (p *Provider) CheckStart(ctx context.Context) error { return p.sender.CheckStart(ctx) }

// Cleanup releases the connections.
func (p *Provider) Cleanup() error { return errors.Join(p.sender.Close(), p.share.Release()) }

// DefaultContent returns the full content if only the subscriber can read it.
func (p *Provider) DefaultContent(d *providers.Device) providers.Content {
	to, ok := p.known.Peek(d)
	if !ok { // there may be keys, although the endpoint is not one
		to.Keys, _ = subscriptionKeys(d.Data)
	}
	if to.Keys != nil {
		return providers.ContentFull
	}
	return providers.ContentIDs
}

// Advertise tells clients that the endpoint is a gateway for UnifiedPush, and which key to subscribe with at push servers that require one
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
	_ providers.Explainer        = (*Provider)(nil)
	_ providers.Usable           = (*Provider)(nil)
	_ providers.Reducer          = (*Provider)(nil)
	_ providers.Previewer        = (*Provider)(nil)
	_ providers.Starter          = (*Provider)(nil)
	_ providers.StartChecker     = (*Provider)(nil)
	_ providers.ContentDefaulter = (*Provider)(nil)
	_ providers.Advertiser       = (*Provider)(nil)
)
