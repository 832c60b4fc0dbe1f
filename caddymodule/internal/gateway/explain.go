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

// Explanation is all that is known of a device.
type Explanation struct {
	// PushkeyHash is the hash of its app_id, pushkey and, for webpush, endpoint, of which logs show the first 8 characters.
	PushkeyHash string `json:"pushkey_hash"`
	// App is the pattern of the app that serves it, or did; empty if none does.
	App string `json:"app"`
	// Record is why it is rejected or suspected; absent if there is neither a verdict nor a suspicion.
	Record *RecordStatus `json:"record,omitempty"`
	// Last is the latest attempt that is remembered; absent if none is.
	Last *Account `json:"last,omitempty"`
	// Waiting says that the outbox has pushes for it.
	Waiting bool `json:"waiting"`
	// Unusable is why nothing could ever be delivered to it: each notification is answered with its rejection. Absent if that is not so, or
	// cannot be told from what is known of the device.
	Unusable *UnusableStatus `json:"unusable,omitempty"`
	// Note is what the answer leaves open, or what there is to do; absent if nothing.
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
	// CondemnedUntil is the newest pushkey_ts that is answered as rejected: a pusher that was registered later is delivered to. Absent
	// if no verdict named a time.
	CondemnedUntil *time.Time `json:"condemned_until,omitempty"`
	// ServiceTime is since when the push service says that the pushkey is invalid; absent if it did not say.
	ServiceTime *time.Time `json:"service_time,omitempty"`
	// ProbeAt is from when on a notification without pushkey_ts is tried again; absent if there is no verdict.
	ProbeAt time.Time `json:"probe_at,omitzero"`
	// Suspicion is that the pushkey may be dead, without proof; absent if it is not suspected.
	Suspicion *SuspicionStatus `json:"suspicion,omitempty"`
}

// SuspicionStatus is what is known of a pushkey that may be dead.
type SuspicionStatus struct {
	// Since is when the pushkey was first found missing.
	Since time.Time `json:"since"`
	// Looks is how many attempts found it missing. Those that were under way together are one.
	Looks int `json:"looks"`
	// LookAt is from when on the next push is sent to see whether it is still missing. Until then pushes wait.
	LookAt time.Time `json:"look_at"`
}

// Dead reports whether there is a verdict, and not a suspicion alone.
func (s RecordStatus) Dead() bool { return s.Verdicts > 0 }

// NewRecordStatus is a record as an operator sees it.
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

// Explain says what is known of a device. The app_id is empty if only the hash is known.
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

// noteWrongKey is what there is to do about a device that has another key than the app's.
const noteWrongKey = "the device subscribed with another key than the gateway's: restore that key, or its client must subscribe again"

// Unusable returns why nothing could ever be delivered to a device; nil if something may be, or if no app serves it.
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

// explainWaiting looks for a device in the outbox: under its app or, after a restart that left only its hash, under each.
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

// Known says whether anything at all is known of the device.
func (e *Explanation) Known() bool { return e.Record != nil || e.Last != nil || e.Waiting }

// Find returns the devices whose hashes begin with a prefix in hexadecimal, of those that are on record or were tried lately: at most
// limit of them.
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

// Trial is what came of a push that an operator sent to see what comes of it.
type Trial struct {
	App         string `json:"app"`
	Provider    string `json:"provider"`
	PushkeyHash string `json:"pushkey_hash"`
	// Outcome is the provider's verdict, Reason and Detail why.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	// Word is the push service's own word; absent if it gave none.
	Word   string `json:"word,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Result is what would become of a homeserver's push: delivered, rejected or dropped; queued, or unavailable without an outbox, if it is
	// to be tried again.
	Result string `json:"result"`
	// RetryAfter is how long the push service wants to be left alone, in seconds.
	RetryAfter float64 `json:"retry_after,omitempty"`
	// ServiceTime is since when the push service says that the pushkey is invalid.
	ServiceTime *time.Time `json:"service_time,omitempty"`
	// OnRecord says that a homeserver would be answered with the rejection on record instead.
	OnRecord bool `json:"on_record"`
	// Duration is how long it took, in seconds.
	Duration float64 `json:"duration"`
}

// ErrUnknownApp says that no app serves a device.
var ErrUnknownApp = errors.New("no app serves the app_id")

// Try makes one attempt at the first device of a request, past the rejected store, the breaker and the outbox, and changes nothing of
// them. The site is where the notification is to have come in.
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
	return t, nil
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
