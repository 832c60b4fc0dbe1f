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
	d := &r.Devices[0]
	app := g.Router.Route(d.AppID)
	if app == nil {
		return Trial{}, ErrUnknownApp
	}
	at, err := g.arrival(app, d, address)
	if err != nil {
		return Trial{}, err
	}
	k := app.keyOf(d)
	t := Trial{App: app.Pattern, Provider: app.ProviderName, PushkeyHash: k.String(), Site: at.address.String()}
	if record, err := g.Rejected.Get(ctx, k); err == nil {
		t.OnRecord = record.Mark().Rejects(rejected.Registered(d.PushkeyTS, g.Now()), g.Now())
	}
	start := g.Now()
	o, c := g.try(ctx, app, r.Notification, d, at.site)
	t.Duration = g.Now().Sub(start).Seconds()
	t.Outcome, t.Reason, t.RetryAfter, t.ServiceTime = o.Kind.String(), o.Reason, o.RetryAfter.Seconds(), present(o.Since)
	t.Word, t.Explanation = o.Word, app.Explain(o.Reason)
	if o.Err != nil {
		t.Detail = o.Err.Error()
	}
	t.Result = decide(o, c).result.String()
	switch {
	case g.servedNowhere(app):
		t.Result, t.Note = Rejected.String(), noteServedNowhere
	case o.Unusable && at.assumed != "":
		t.Note = at.assumed
	case o.Blocked:
		t.Note = g.blockedNote(app.Host(d), at)
	}
	if o.Kind == providers.KindDelivered {
		g.proved(app, d, k, at.site)
	}
	return t, nil
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
func (g *Gateway) try(
	ctx context.Context, app *App, n *providers.Notification, d *providers.Device, site providers.Site,
) (providers.Outcome, circumstances) {
	k := app.keyOf(d)
	known := g.Shared.isProven(k)
	if o, unusable := app.judge(d, site); unusable && !(o.Doubtful && known) {
		return o, circumstances{}
	}
	o := g.nowhere(app, k, app.Host(d), g.tryOnce(ctx, app, n, d, site))
	c := circumstances{
		pushkeyTS: rejected.Registered(d.PushkeyTS, g.Now()), proven: app.proven.Load(), suspicion: failed, store: done, outbox: failed,
		held: g.Fuse.Share < 1 && app.fuse.holds(app.Host(d), known), trusted: o.Blocked && g.box.queue != nil && known,
	}
	if g.box.queue != nil {
		c.outbox = done
	}
	return o, c
}

// tryOnce makes the attempt of a trial.
func (g *Gateway) tryOnce(
	ctx context.Context, app *App, n *providers.Notification, d *providers.Device, site providers.Site,
) providers.Outcome {
	view := (&views{n: n}).of(app, d)
	if view == nil {
		return providers.Dropped("no_badges", errNoBadges)
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	slot, err := app.Limit.Acquire(ctx, limit.Party{Host: app.Host(d), First: true})
	if err != nil {
		return providers.Busy("app_busy", err)
	}
	defer slot.Release()
	return app.Push(ctx, &providers.Push{Notification: view.Notification, Device: d, ID: newID(), Expires: g.Now().Add(app.TTL), Site: site})
}
