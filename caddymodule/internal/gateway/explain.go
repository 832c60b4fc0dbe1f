package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
	// rejected in every answer, unless Held is set.
	Unusable *UnusableStatus `json:"unusable,omitempty"`
	// Held is why the gateway does not believe that the device must be rejected: HeldByFuse or HeldByDoubt; absent if that does not apply.
	Held string `json:"held,omitempty"`
	// Note is what remains unclear, or what to do; absent if there is nothing.
	Note string `json:"note,omitempty"`
	// Arrival is whether notifications for the device arrive at the site that the operator asked about; absent if there was none.
	Arrival *ArrivalStatus `json:"arrival,omitempty"`
}

// UnusableStatus is why nothing could ever be delivered to a device.
type UnusableStatus struct {
	Reason string `json:"reason"`
	// Explanation is what the reason means and what to do about it; absent if nobody knows.
	Explanation string `json:"explanation,omitempty"`
	Detail      string `json:"detail,omitempty"`
}

// RecordStatus is a record of the rejected store.
type RecordStatus struct {
	PushkeyHash string `json:"pushkey_hash"`
	App         string `json:"app,omitempty"`
	Reason      string `json:"reason"`
	// Explanation is what the reason means and what to do about it; absent in lists, and if nobody knows.
	Explanation string    `json:"explanation,omitempty"`
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

// The values of [Explanation.Held].
const (
	// HeldByFuse means that too many devices were to be rejected at once.
	HeldByFuse = "fuse"
	// HeldByDoubt means that a wrong setting could have the same effect, and that nothing was delivered with the settings yet.
	HeldByDoubt = "doubt"
)

// Described is what an operator knows of a device besides its key.
type Described struct {
	// AppID is its app_id; empty if only the hash is known.
	AppID string
	// Device is the device; nil if what is known does not show whether anything could be delivered to it.
	Device *providers.Device
	// Site is where homeservers send its notifications; empty if that is not known.
	Site Address
}

// Explain returns what is known about a device, and so how the next notification for it would be answered.
func (g *Gateway) Explain(ctx context.Context, k rejected.Key, known Described) (Explanation, error) {
	e := Explanation{PushkeyHash: k.String()}
	r, err := g.Rejected.Get(ctx, k)
	switch {
	case err == nil:
		s := NewRecordStatus(k, r)
		s.Explanation = g.explainReason(r.App, r.Reason)
		e.Record, e.App = &s, r.App
	case !errors.Is(err, rejected.ErrNotFound):
		return e, err
	}
	last, tried := g.Shared.journal.account(k)
	if tried {
		last.Explanation = g.explainReason(last.App, last.Reason)
		e.Last, e.App = &last, last.App
	}
	if known.AppID != "" {
		e.App = ""
		if app := g.Router.Route(known.AppID); app != nil {
			e.App = app.Pattern
		}
	}
	if err := g.explainWaiting(ctx, k, &e); err != nil {
		return e, err
	}
	if known.Site.Host != "" {
		e.Arrival = g.arrivalStatus(g.Router.Route(known.AppID), known.Site)
	}
	g.foresee(k, known, &e)
	return e, nil
}

// explainReason returns what a reason means that an app's provider gave.
func (g *Gateway) explainReason(pattern, reason string) string {
	if app := g.Router.Configured(pattern); app != nil {
		return app.Explain(reason)
	}
	return Reasons[reason]
}

// foresee adds why the next notification for a device would be rejected without a record of it, or why it would not be.
func (g *Gateway) foresee(k rejected.Key, known Described, e *Explanation) {
	app := g.Router.Configured(e.App)
	switch {
	case known.AppID != "" && app == nil:
		e.Unusable = g.unserved(known.AppID)
	case known.AppID == "" && app == nil && e.App != "" && !isGlob(e.App) && g.Router.Route(e.App) == nil:
		e.Unusable = g.unserved(e.App) // the pattern is the app_id
	case known.Device != nil:
		e.Unusable = g.Unusable(known.Device)
	case app != nil && g.servedNowhere(app):
		e.Unusable = servedNowhere()
	case e.Last != nil && e.Last.unusable:
		e.Unusable = &UnusableStatus{Reason: e.Last.Reason, Explanation: e.Last.Explanation, Detail: e.Last.Detail}
	}
	switch {
	case e.Unusable != nil && e.Unusable.Reason == unknownApp:
		if g.Fuse.Share < 1 && g.Shared.Fuses.of(unknownApps).holds("", g.Shared.isProven(k)) {
			e.Held = HeldByFuse
		}
	case e.Unusable == nil && app != nil && e.Last != nil && (e.Last.Outcome == kindHeld || e.Last.Outcome == kindDoubted):
		e.Held = g.heldBy(app, e.Last)
	}
	switch {
	case e.Last != nil && e.Last.wrongKey:
		e.Note = noteWrongKey
	case e.App != "" && app == nil && e.Unusable == nil:
		e.Note = fmt.Sprintf("the app %s is no longer configured: if no other app serves the device, it is rejected", e.App)
	case app != nil && e.Unusable == nil:
		e.Note = g.noteSites(app)
	}
}

// heldBy returns why an app's rejection of a device is not believed; empty if the next one would be.
func (g *Gateway) heldBy(app *App, last *Account) string {
	switch {
	case g.Fuse.Share < 1 && app.fuse.status(app.Pattern).Tripped != nil:
		return HeldByFuse
	case last.doubtful && !app.proven.Load():
		return HeldByDoubt
	}
	return ""
}

// noteWrongKey is what to do about a device that has another key than the app's.
const noteWrongKey = "the device subscribed with another key than the gateway's: restore that key, or its client must subscribe again"

// unserved returns why a device is rejected whose app_id no app serves.
func (g *Gateway) unserved(appID string) *UnusableStatus {
	return &UnusableStatus{Reason: unknownApp, Explanation: Reasons[unknownApp], Detail: g.Router.Missing("no app serves", appID)}
}

// servedNowhere returns why a device is rejected whose app no site serves.
func servedNowhere() *UnusableStatus {
	return &UnusableStatus{Reason: unknownApp, Explanation: Reasons[unknownApp], Detail: noteServedNowhere}
}

// Unusable returns why nothing could ever be delivered to a device; nil if something could be.
func (g *Gateway) Unusable(d *providers.Device) *UnusableStatus {
	app := g.Router.Route(d.AppID)
	switch {
	case app == nil:
		return g.unserved(d.AppID)
	case g.servedNowhere(app):
		return servedNowhere()
	}
	at, _ := g.arrival(app, d, Address{}) // only a given address can be wrong
	o, unusable := app.judge(d, at.site)
	if !unusable || o.Doubtful && g.Shared.isProven(app.keyOf(d)) {
		return nil
	}
	return &UnusableStatus{Reason: o.Reason, Explanation: app.Explain(o.Reason), Detail: o.Err.Error()}
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
