// Package webpush delivers to browsers and other Web Push subscribers: RFC 8030, RFC 8291 and RFC 8292.
package webpush

import (
	"context"
	"errors"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/pooled"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/readonce"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

func init() {
	caddy.RegisterModule(new(Provider))
}

// Provider delivers to Web Push subscriptions. A subscription can be registered as a pusher in two ways: the pushkey is either the
// subscription's `p256dh`, or the whole `PushSubscription` as JSON. With `p256dh` as the pushkey, the pusher's data must contain `endpoint`
// and `auth`.
//
// The message is encrypted, and only the subscriber can read it. So by default, it contains the whole notification, as one flat object:
//
//	{"event_id": "$…", "room_id": "!…", "type": "m.room.message", "sender": "@…", "content": {…}, "unread": 1, …}
//
// The message also contains the members of the `default_payload` in the pusher's data. If one of these members has the same name as a
// member that the gateway itself sets (see above), the gateway's own member takes precedence. If a message is too large, the gateway
// removes parts in the following order, until the message fits. First, it leaves out content that clients do not show. Then it shortens the
// text, and then it leaves out names, such as the room's name. Finally, it leaves out everything except IDs and counts.
//
// The client can set two options in the pusher's data. `events_only: true` turns off badge updates. With `only_last_per_room: true`, a
// message replaces earlier messages of the same room, if they are still pending at the push service or in the outbox.
//
// To subscribe, a browser needs the gateway's application server key (the public VAPID key). A GET request to the gateway's endpoint
// returns this key.
type Provider struct {
	webpushmessage.Options

	sender webpushmessage.Sender
	faults *clientjson.Faults
	known  *readonce.Devices[*pusher] // nil before Provision
	share  *pooled.Share[*readonce.Devices[*pusher]]
}

// known has the devices of all apps, so strangers can't use more memory with more apps.
var known = pooled.NewPool[*readonce.Devices[*pusher]]()

// CaddyModule returns the module's name and constructor.
func (*Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.providers.webpush", New: func() caddy.Module { return new(Provider) }}
}

// Provision checks the options.
func (p *Provider) Provision(ctx caddy.Context) (err error) {
	p.faults = clientjson.NewFaults(ctx.Logger())
	if p.share, err = known.Take("", readonce.New[*pusher]); err != nil {
		return err
	}
	p.known = p.share.Value
	return p.sender.Provision(ctx, &p.Options)
}

var errNoSubject = errors.New("vapid_subject is missing: push services require a way to contact you: " +
	"write one such as vapid_subject mailto:ops@example.org, or give a site that mounts the app a public name")

// Mounted returns an error without a subject: Apple refuses a push without one.
func (p *Provider) Mounted(hosts []string) error {
	if !p.sender.Mounted(hosts) {
		return errNoSubject
	}
	return nil
}

// Start makes the VAPID key if there is none yet.
func (p *Provider) Start(ctx context.Context) error {
	if err := p.Mounted(nil); err != nil { // Mounted was not called
		return err
	}
	return p.sender.Start(ctx)
}

// CheckStart returns why Start would fail.
func (p *Provider) CheckStart(ctx context.Context) error { return p.sender.CheckStart(ctx) }

// Cleanup releases the connections.
func (p *Provider) Cleanup() error { return errors.Join(p.sender.Close(), p.share.Release()) }

// DefaultContent returns the full content: only the subscriber can read it.
func (p *Provider) DefaultContent(*providers.Device) providers.Content { return providers.ContentFull }

// DefaultBadges sends counts only with events. A browser cancels the subscription of a page that gets pushes and shows nothing: Firefox
// after about 25 badge updates, Safari after three, https://webkit.org/blog/12945/meet-web-push/.
func (p *Provider) DefaultBadges() providers.Badges { return providers.BadgesWithEvents }

// Advertise tells browsers which key to subscribe with.
func (p *Provider) Advertise() providers.Advertisement {
	return providers.Advertisement{ApplicationServerKey: p.sender.PublicKey()}
}

// Interface guards
var (
	_ caddy.Provisioner          = (*Provider)(nil)
	_ caddy.CleanerUpper         = (*Provider)(nil)
	_ providers.Hoster           = (*Provider)(nil)
	_ providers.Identifier       = (*Provider)(nil)
	_ providers.Provider         = (*Provider)(nil)
	_ providers.Mounted          = (*Provider)(nil)
	_ providers.Explainer        = (*Provider)(nil)
	_ providers.Usable           = (*Provider)(nil)
	_ providers.Reducer          = (*Provider)(nil)
	_ providers.Previewer        = (*Provider)(nil)
	_ providers.Replacer         = (*Provider)(nil)
	_ providers.Starter          = (*Provider)(nil)
	_ providers.StartChecker     = (*Provider)(nil)
	_ providers.ContentDefaulter = (*Provider)(nil)
	_ providers.BadgesDefaulter  = (*Provider)(nil)
	_ providers.Advertiser       = (*Provider)(nil)
)
