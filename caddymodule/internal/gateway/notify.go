// Package gateway is the engine: it decodes a notify request, routes each device to its app, dispatches the pushes, and turns
// outcomes into the answer by one policy. It knows nothing of HTTP servers or of Caddy.
package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// Gateway delivers notifications by one configuration. Its fields are set before its first use and not changed.
type Gateway struct {
	Router   *Router
	Rejected rejected.Store
	Outbox   outbox.Box
	// Dedupe is how long a delivered event is remembered; 0 for not at all.
	Dedupe time.Duration
	// Fuse says when rejections are held.
	Fuse     FuseOptions
	Shared   *Shared
	Observer Observer
	Now      func() time.Time
	// Jitter is a random duration below the given one.
	Jitter func(time.Duration) time.Duration

	// retired says that another configuration took over.
	retired atomic.Bool
}

// Observer learns what happens, to tell the operator. It is called from many goroutines and must not block.
type Observer interface {
	// Attempted is called when an attempt to deliver has ended.
	Attempted(Attempt)
	// Answered is called for each device of a request when it is answered; the app is nil if none serves the device.
	Answered(app *App, result Result)
	// BreakerOpened is called when so many attempts failed that no more are made for a while; the host is empty if all of the app's go to one.
	BreakerOpened(app *App, host string)
	// BreakerClosed is called when the first attempt after that did not fail.
	BreakerClosed(app *App, host string)
	// FuseTripped is called when so many pushkeys of an app were rejected that the rejections were withdrawn, and no more are believed; the
	// app is empty for devices of unknown apps.
	FuseTripped(app string, pushkeys int)
	// FuseReset is called when rejections are believed again, because their share fell or the operator says so.
	FuseReset(app string, byOperator bool)
	// StoreFailed is called when a store could not do something. The error has no pushkey in it.
	StoreFailed(doing string, err error)
}

// Attempt is what an observer learns of an attempt.
type Attempt struct {
	App      *App
	Key      rejected.Key
	Outcome  providers.Outcome
	Duration time.Duration
	// Age is how long after the notification's acceptance the attempt ended.
	Age time.Duration
	// Result is what the policy made of the outcome, and Alarm says that the operator has to act.
	Result Result
	Alarm  bool
}

// Kind is what became of the attempt, in a word. A rejection that is not believed yet is doubted, and one of an earlier registration than
// the device's is outdated: they rejected nobody.
func (a *Attempt) Kind() string {
	switch {
	case a.Outcome.Kind != providers.KindRejected || a.Result.dead():
		return a.Outcome.Kind.String()
	case a.Alarm:
		return "doubted"
	default:
		return "outdated"
	}
}

const (
	// maxParallel bounds how many devices of one request are under way at a time.
	maxParallel = 32
	// DefaultWait is how long an app's requests wait for a verdict unless it says otherwise.
	DefaultWait = 5 * time.Second
)

// delivery is one device of a request on its way to a decision.
type delivery struct {
	device   *providers.Device
	app      *App // nil if none serves the device
	key      rejected.Key
	flight   *flight // nil once decided
	decision decision
}

// Notify delivers a request's notification to each of its devices, and returns the answer when each has been decided. The
// devices' pushes run at the same time, each within its app's patience from now on; serves says which apps this site serves.
func (g *Gateway) Notify(r *Request, site providers.Site, serves func(*App) bool) Answer {
	start := g.Now()
	deliveries := g.route(r, serves)
	marks := g.lookup(deliveries)
	for i := range deliveries {
		if i >= maxParallel {
			g.await(&deliveries[i-maxParallel], start)
		}
		g.dispatch(&deliveries[i], marks[i], r, site, start)
	}
	for i := max(0, len(deliveries)-maxParallel); i < len(deliveries); i++ {
		g.await(&deliveries[i], start)
	}
	for i := range deliveries {
		g.Observer.Answered(deliveries[i].app, deliveries[i].decision.result)
	}
	return r.answer(deliveries)
}

func (g *Gateway) route(r *Request, serves func(*App) bool) []delivery {
	deliveries := make([]delivery, len(r.Devices))
	for i := range r.Devices {
		d := &deliveries[i]
		d.device = &r.Devices[i]
		if app := g.Router.Route(d.device.AppID); app != nil && serves(app) {
			d.app = app
			d.key = rejected.KeyOf(d.device.AppID, d.device.Pushkey)
		}
	}
	return deliveries
}

// lookup asks the rejected store once about all devices. A store that cannot tell lets them through.
func (g *Gateway) lookup(deliveries []delivery) []rejected.Mark {
	marks := make([]rejected.Mark, len(deliveries))
	keys := make([]rejected.Key, len(deliveries))
	for i := range deliveries {
		keys[i] = deliveries[i].key
	}
	if len(keys) == 0 {
		return marks
	}
	if err := g.Rejected.Lookup(context.Background(), keys, marks); err != nil {
		g.Observer.StoreFailed("looking up rejections", err)
		clear(marks)
	}
	return marks
}

// dispatch decides a device at once where it can, and otherwise puts it on a flight.
func (g *Gateway) dispatch(d *delivery, mark rejected.Mark, r *Request, site providers.Site, now time.Time) {
	switch {
	case d.app == nil:
		d.decision = g.unknown(rejected.KeyOf(d.device.AppID, d.device.Pushkey))
		return
	case mark.Rejects(d.device.PushkeyTS, now):
		d.decision = decision{result: RejectedBefore}
		return
	}
	g.known(d.key)
	view := d.app.view(r.Notification, d.device)
	if view == nil {
		d.decision = decide(providers.Dropped("no_badges", errNoBadges), circumstances{})
		return
	}
	c := cargo{app: d.app, key: d.key, event: keyOfEvent(r.event, d.device), accepted: now, fuse: g.fuseOf(d.app), span: r.Span, push: &providers.Push{
		Notification: view, Device: d.device, ID: newID(), Expires: now.Add(d.app.TTL), Site: site,
	}}
	f, leader, delivered := g.Shared.join(c, g.Dedupe, now)
	if delivered {
		d.decision = decision{result: Duplicate}
		return
	}
	d.flight = f
	if leader {
		g.depart(f)
	}
}

// newID identifies a push.
func newID() string { return uuid.NewString() }

// depart launches a flight, unless another gateway has the event, or the device's earlier pushes are waiting in the outbox: then it
// joins behind them, or waits for the homeserver to send it again.
func (g *Gateway) depart(f *flight) {
	switch g.claim(f.event) {
	case outbox.Claimed:
	case outbox.Done:
		g.pass(f, decision{result: Duplicate, remember: true})
		return
	case outbox.Taken:
		g.pass(f, decision{result: Unavailable, retryAfter: pendingRetry})
		return
	}
	waiting, err := g.Outbox.Waiting(context.Background(), f.app.Pattern, f.key)
	if err != nil {
		g.outboxFailed("looking for pushes of a device", err)
	}
	if waiting {
		g.land(f, providers.Retry("behind_others", 0, nil))
		return
	}
	g.launch(f)
}

// await waits for a device's decision as long as its app says, counted from the request's start.
func (g *Gateway) await(d *delivery, start time.Time) {
	if d.flight == nil {
		return
	}
	if d.flight.await(d.app.Wait - g.Now().Sub(start)) {
		d.decision = d.flight.verdict(d.device)
		return
	}
	d.decision = g.handOver(d.flight, d.device)
	if d.decision.result == Unavailable && d.app.Wait == 0 {
		// The outbox took nothing, so that this app waits like the others.
		if d.flight.await(DefaultWait - g.Now().Sub(start)) {
			d.decision = d.flight.verdict(d.device)
		}
	}
}

func (g *Gateway) outboxFailed(doing string, err error) {
	if !errors.Is(err, outbox.ErrOff) && !errors.Is(err, outbox.ErrFull) {
		g.Observer.StoreFailed(doing, err)
	}
}
