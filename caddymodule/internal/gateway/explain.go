package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// Explanation is everything that is known about a device.
type Explanation struct {
	// PushkeyHash is the hash of its app_id, pushkey and, for webpush, endpoint. Logs show its first 8 characters.
	PushkeyHash string `json:"pushkey_hash"`
	// App is the pattern of the app that serves the device, or did; empty if none does.
	App string `json:"app"`
	// Record is why the device is rejected or suspected; absent if it is neither.
	Record *RecordStatus `json:"record,omitempty"`
	// Last is the latest attempt that is remembered; absent if there is none.
	Last *Account `json:"last,omitempty"`
	// Waiting means that the device has pending pushes.
	Waiting bool `json:"waiting"`
	// Unusable is why nothing could ever be delivered to the device; absent if that does not apply or is unknown. Such a device is
	// rejected in every answer.
	Unusable *UnusableStatus `json:"unusable,omitempty"`
	// Note is what remains unclear, or what to do; absent if there is nothing.
	Note string `json:"note,omitempty"`
}

// UnusableStatus is why nothing could ever be delivered to a device.
type UnusableStatus struct {
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

// RecordStatus is a record of the rejected store.
type RecordStatus struct {
	PushkeyHash string    `json:"pushkey_hash"`
	App         string    `json:"app,omitempty"`
	Reason      string    `json:"reason"`
	FirstSeen   time.Time `json:"first_seen"`
	LastSeen    time.Time `json:"last_seen"`
	// Verdicts is how many probes gave the same verdict; 0 if the pushkey is only suspected, and so not rejected.
	Verdicts int `json:"verdicts"`
	// CondemnedUntil is the newest pushkey_ts that is answered as rejected. A pusher that was registered later is delivered to. It is
	// absent if no verdict had a time.
	CondemnedUntil *time.Time `json:"condemned_until,omitempty"`
	// ServiceTime is since when the pushkey is invalid, according to the push service; absent if it sent no time.
	ServiceTime *time.Time `json:"service_time,omitempty"`
	// ProbeAt is the time after which a notification without pushkey_ts is tried again; absent if there is no verdict.
	ProbeAt time.Time `json:"probe_at,omitzero"`
	// Suspicion means that the pushkey may be dead, without proof; absent if it is not suspected.
	Suspicion *SuspicionStatus `json:"suspicion,omitempty"`
}

// SuspicionStatus is what is known about a pushkey that may be dead.
type SuspicionStatus struct {
	// Since is when the pushkey was first found missing.
	Since time.Time `json:"since"`
	// Looks is how many attempts found the pushkey missing. Attempts that ran at the same time count as one.
	Looks int `json:"looks"`
	// LookAt is when the next push is sent to check whether the pushkey is still missing. Until then its pushes are pending.
	LookAt time.Time `json:"look_at"`
}

// Dead reports whether there is a verdict, and not only a suspicion.
func (s RecordStatus) Dead() bool { return s.Verdicts > 0 }

// NewRecordStatus returns a record as an operator sees it.
func NewRecordStatus(k rejected.Key, r rejected.Record) RecordStatus {
	s := RecordStatus{
		PushkeyHash: k.String(), App: r.App, Reason: r.Reason, FirstSeen: r.FirstSeen, LastSeen: r.LastSeen, Verdicts: r.Verdicts, ProbeAt: r.ProbeAt,
	}
	if condemned := r.Mark().Condemned; condemned > 0 {
		s.CondemnedUntil = present(time.Unix(int64(condemned), 0))
	}
	if r.Since > 0 {
		s.ServiceTime = present(time.UnixMilli(r.Since))
	}
	if r.Suspicion.Suspected() {
		s.Suspicion = &SuspicionStatus{Since: r.Suspicion.Since, Looks: r.Suspicion.Looks, LookAt: r.Suspicion.LookAt}
	}
	return s
}

// Explain returns what is known about a device. The app_id is empty if only the hash is known.
func (g *Gateway) Explain(ctx context.Context, k rejected.Key, appID string) (Explanation, error) {
	e := Explanation{PushkeyHash: k.String()}
	r, err := g.Rejected.Get(ctx, k)
	switch {
	case err == nil:
		s := NewRecordStatus(k, r)
		e.Record, e.App = &s, r.App
	case !errors.Is(err, rejected.ErrNotFound):
		return e, err
	}
	if a, ok := g.Shared.journal.account(k); ok {
		e.Last, e.App = &a, a.App
		if a.wrongKey {
			e.Note = noteWrongKey
		}
	}
	if appID != "" {
		e.App = ""
		if app := g.Router.Route(appID); app != nil {
			e.App = app.Pattern
		}
	}
	return e, g.explainWaiting(ctx, k, &e)
}

// noteWrongKey is what to do about a device that has another key than the app's.
const noteWrongKey = "the device subscribed with another key than the gateway's: restore that key, or its client must subscribe again"

// Unusable returns why nothing could ever be delivered to a device. It returns nil if something could be, or if no app serves the
// device.
func (g *Gateway) Unusable(d *providers.Device) *UnusableStatus {
	app := g.Router.Route(d.AppID)
	if app == nil {
		return nil
	}
	o, unusable := app.judge(d, providers.Site{})
	if !unusable {
		return nil
	}
	return &UnusableStatus{Reason: o.Reason, Detail: o.Err.Error()}
}

// explainWaiting looks for a device's pending pushes: under its app, or under every app if only the device's hash is known after a
// restart.
func (g *Gateway) explainWaiting(ctx context.Context, k rejected.Key, e *Explanation) error {
	patterns := []string{e.App}
	if e.App == "" {
		patterns = patterns[:0]
		for _, app := range g.Router.Apps() {
			patterns = append(patterns, app.Pattern)
		}
	}
	for _, pattern := range patterns {
		waiting, err := g.Outbox.Waiting(ctx, pattern, k)
		if err != nil && !errors.Is(err, outbox.ErrOff) {
			return err
		}
		if waiting {
			e.Waiting, e.App = true, pattern
			return nil
		}
	}
	return nil
}

// Known reports whether anything is known about the device.
func (e *Explanation) Known() bool { return e.Record != nil || e.Last != nil || e.Waiting }

// Find returns at most limit devices whose hashes begin with a prefix in hexadecimal. It searches the records and the recent attempts.
func (g *Gateway) Find(ctx context.Context, prefix string, limit int) ([]rejected.Key, error) {
	keys := g.Shared.journal.matching(prefix)
	if lister, ok := g.Rejected.(rejected.Lister); ok {
		for q := (rejected.Query{Prefix: prefix, Limit: limit}); ; {
			page, next, err := lister.List(ctx, q)
			if err != nil {
				return nil, err
			}
			for _, e := range page {
				keys = append(keys, e.Key)
			}
			if next == "" || len(keys) >= 2*limit {
				break
			}
			q.Cursor = next
		}
	}
	slices.SortFunc(keys, func(a, b rejected.Key) int { return strings.Compare(a.String(), b.String()) })
	keys = slices.Compact(keys)
	return keys[:min(len(keys), limit)], nil
}

// Trial is the result of a push that an operator sent as a test.
type Trial struct {
	App         string `json:"app"`
	Provider    string `json:"provider"`
	PushkeyHash string `json:"pushkey_hash"`
	// Outcome is the provider's verdict; Reason and Detail say why.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
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
}

// ErrUnknownApp means that no app serves a device.
var ErrUnknownApp = errors.New("no app serves the app_id")

// Try makes one attempt at the first device of a request. It bypasses the rejected store, the breaker and the outbox, and changes
// nothing in them. If the push is delivered, that ends the troubles that it disproves. The site is the one that the notification counts
// as having arrived at.
func (g *Gateway) Try(ctx context.Context, r *Request, site providers.Site) (Trial, error) {
	d := &r.Devices[0]
	app := g.Router.Route(d.AppID)
	if app == nil {
		return Trial{}, ErrUnknownApp
	}
	k := app.keyOf(d)
	t := Trial{App: app.Pattern, Provider: app.ProviderName, PushkeyHash: k.String()}
	if record, err := g.Rejected.Get(ctx, k); err == nil {
		t.OnRecord = record.Mark().Rejects(rejected.Registered(d.PushkeyTS, g.Now()), g.Now())
	}
	start := g.Now()
	o := g.try(ctx, app, r.Notification, d, site)
	t.Duration = g.Now().Sub(start).Seconds()
	t.Outcome, t.Reason, t.RetryAfter, t.ServiceTime = o.Kind.String(), o.Reason, o.RetryAfter.Seconds(), present(o.Since)
	t.Word = o.Word
	if o.Err != nil {
		t.Detail = o.Err.Error()
	}
	c := circumstances{
		pushkeyTS: rejected.Registered(d.PushkeyTS, g.Now()), proven: app.proven.Load(), suspicion: failed, store: done, outbox: failed,
		held: g.Fuse.Share < 1 && app.fuse.holds(app.Host(d), g.Shared.isProven(k)),
	}
	if g.box.queue != nil {
		c.outbox = done
	}
	t.Result = decide(o, c).result.String()
	if o.Kind == providers.KindDelivered {
		g.proved(app, d, k, site)
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

func (g *Gateway) try(ctx context.Context, app *App, n *providers.Notification, d *providers.Device, site providers.Site) providers.Outcome {
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
