package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// Trial is the result of a push that an operator sent as a test.
type Trial struct {
	App         string `json:"app"`
	Provider    string `json:"provider"`
	PushkeyHash string `json:"pushkey_hash"`
	// Site is the site at which the notification counts as arrived, `host` or `host:port`; empty if it is unknown.
	Site string `json:"site,omitempty"`
	// Outcome is the provider's verdict; Reason and Detail say why.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	// Explanation is what the reason means and what to do about it; absent if nobody knows.
	Explanation string `json:"explanation,omitempty"`
	// Word is the push service's own word; absent if it gave none.
	Word   string `json:"word,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Result is what would become of a homeserver's push: delivered, rejected or dropped. If it would be retried, it is queued, or
	// unavailable without an outbox.
	Result string `json:"result"`
	// RetryAfter is how long the push service asks to wait, in seconds.
	RetryAfter float64 `json:"retry_after,omitempty"`
	// ServiceTime is since when the pushkey is invalid, according to the push service.
	ServiceTime *time.Time `json:"service_time,omitempty"`
	// OnRecord means that a homeserver would get the rejection on record instead.
	OnRecord bool `json:"on_record"`
	// Duration is how long the attempt took, in seconds.
	Duration float64 `json:"duration"`
	// Note is what remains unclear, or what to do; absent if there is nothing.
	Note string `json:"note,omitempty"`
}

// ErrUnknownApp means that no app serves a device.
var ErrUnknownApp = errors.New("no app serves the app_id")

// Try makes one attempt at the first device of a request. It bypasses the rejected store, the breaker and the outbox, and changes
// nothing in them. If the push is delivered, that ends the troubles that it disproves. The address is the site's at which the notification counts as arrived. If it is empty, that is the site with the push
// server's name, where clients of a push server on the gateway's own site send their notifications.
func (g *Gateway) Try(ctx context.Context, r *Request, address Address) (Trial, error) {
	s, err := g.subject(ctx, r, address)
	if err != nil {
		return Trial{}, err
	}
	app := s.app
	t := Trial{App: app.Pattern, Provider: app.ProviderName, PushkeyHash: s.key.String(), Site: s.at.address.String(), OnRecord: s.onRecord}
	start := g.Now()
	o, c := g.try(ctx, s)
	t.Duration = g.Now().Sub(start).Seconds()
	t.Outcome, t.Reason, t.RetryAfter, t.ServiceTime = o.Kind.String(), o.Reason, o.RetryAfter.Seconds(), present(o.Since)
	t.Word, t.Explanation = o.Word, app.Explain(o.Reason)
	if o.Err != nil {
		t.Detail = o.Err.Error()
	}
	t.Result = decide(o, c).result.String()
	if g.servedNowhere(app) {
		t.Result = Rejected.String()
	}
	t.Note = g.noteOn(s, o)
	if o.Kind == providers.KindDelivered {
		g.proved(app, s.device, s.key, s.at.site)
	}
	return t, nil
}

// subject is what a test is about: the first device of a request, with what the gateway knows before it sends anything.
type subject struct {
	app    *App
	n      *providers.Notification
	device *providers.Device
	key    rejected.Key
	at     arrival
	// onRecord means that the pushkey is recorded as dead.
	onRecord bool
}

// subject finds out what a test is about. The address is the site's, as for [Gateway.Try].
func (g *Gateway) subject(ctx context.Context, r *Request, address Address) (s subject, err error) {
	s.n, s.device = r.Notification, &r.Devices[0]
	if s.app = g.Router.Route(s.device.AppID); s.app == nil {
		return s, ErrUnknownApp
	}
	if s.at, err = g.arrival(s.app, s.device, address); err != nil {
		return s, err
	}
	s.key = s.app.keyOf(s.device)
	if record, err := g.Rejected.Get(ctx, s.key); err == nil {
		s.onRecord = record.Mark().Rejects(rejected.Registered(s.device.PushkeyTS, g.Now()), g.Now())
	}
	return s, nil
}

// noteOn returns what remains unclear after a test with this outcome, or what to do; empty if there is nothing.
func (g *Gateway) noteOn(s subject, o providers.Outcome) string {
	switch {
	case g.servedNowhere(s.app):
		return noteServedNowhere
	case o.Unusable && s.at.assumed != "":
		return s.at.assumed
	case o.Blocked:
		return g.blockedNote(s.app.Host(s.device), s.at)
	default:
		return ""
	}
}

// proved notes that a test push was delivered. So the settings are right, and the host works. It is not evidence about any device: it makes
// none known, and neither rejects nor acquits one.
func (g *Gateway) proved(app *App, d *providers.Device, k rejected.Key, site providers.Site) {
	now := g.Now()
	host := app.Host(d)
	g.healthChanged(app, app.hosts.proved(host, k, app.load, isOwn(host, site), now))
	g.Shared.journal.proved(app, host, now)
}

// try returns the outcome that a homeserver's push would have, and the circumstances for the policy.
func (g *Gateway) try(ctx context.Context, s subject) (providers.Outcome, circumstances) {
	push, o := g.prepare(s)
	if push == nil {
		return o, circumstances{}
	}
	o = g.nowhere(s.app, s.key, s.app.Host(s.device), g.tryOnce(ctx, s.app, push))
	return o, g.circumstancesOf(s, o)
}

// prepare returns the push that a test sends, or the outcome if the gateway itself decides that nothing is sent.
func (g *Gateway) prepare(s subject) (*providers.Push, providers.Outcome) {
	if o, unusable := s.app.judge(s.device, s.at.site); unusable && !(o.Doubtful && g.Shared.isProven(s.key)) {
		return nil, o
	}
	view := (&views{n: s.n}).of(s.app, s.device)
	if view == nil {
		return nil, providers.Dropped("no_badges", errNoBadges)
	}
	return &providers.Push{
		Notification: view.Notification, Device: s.device, ID: newID(), Expires: g.Now().Add(s.app.TTL), Site: s.at.site,
	}, providers.Outcome{}
}

// circumstancesOf returns the circumstances in which a homeserver's push would have an outcome.
func (g *Gateway) circumstancesOf(s subject, o providers.Outcome) circumstances {
	known := g.Shared.isProven(s.key)
	c := circumstances{
		pushkeyTS: rejected.Registered(s.device.PushkeyTS, g.Now()), proven: s.app.proven.Load(),
		suspicion: failed, store: done, outbox: failed,
		held: g.Fuse.Share < 1 && s.app.fuse.holds(s.app.Host(s.device), known), trusted: o.Blocked && g.box.queue != nil && known,
	}
	if g.box.queue != nil {
		c.outbox = done
	}
	return c
}

// tryOnce makes the attempt of a test.
func (g *Gateway) tryOnce(ctx context.Context, app *App, push *providers.Push) providers.Outcome {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	slot, err := app.Limit.Acquire(ctx, limit.Party{Host: app.Host(push.Device), First: true})
	if err != nil {
		return providers.Busy("app_busy", err)
	}
	defer slot.Release()
	return app.Push(ctx, push)
}
