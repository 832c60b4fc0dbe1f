package gateway

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// maxParallel bounds how many devices of one request are under way at the same time.
	maxParallel = 128
	// DefaultWait is how long requests wait for a verdict if the app's provider has no other default.
	DefaultWait = 5 * time.Second
	// storeWait is how much longer a request waits for the stores.
	storeWait = 900 * time.Millisecond
	// trialWait is how long a request waits for a verdict while the breaker is open. A push that is not turned away then is a trial.
	trialWait = time.Second
)

// delivery is one device of a request on its way to a decision.
type delivery struct {
	device   *providers.Device
	app      *App // nil if none serves the device
	key      rejected.Key
	flight   *flight // nil if decided without one
	decided  bool    // without a flight
	decision decision
	// probe means that it is not a device, but a probe, which is counted nowhere. seen is what the answer shows of it.
	probe bool
	seen  *Sightings
}

// decide sets the decision.
func (d *delivery) decide(by decision) { d.decision, d.decided = by, true }

// Notify delivers a request's notification to each of its devices, and returns the answer when all of them are decided. The pushes run
// in parallel. Each device is waited for at most its app's wait, counted from now. serves reports whether this site serves an app. The
// request's own goroutine waits for each store only up to a deadline.
func (g *Gateway) Notify(r *Request, site providers.Site, serves func(*App) bool) Answer {
	start := g.Now()
	deliveries, keys, marks := newDeliveries(len(r.Devices))
	g.route(deliveries, r, serves)
	g.judge(deliveries, site, start)
	if !r.Hand.Grow(r.weigh(deliveries)) {
		return g.turnDown(deliveries)
	}
	seen := views{n: r.Notification}
	if len(deliveries) > 1 {
		r.Notification.ShareMembers()
	}
	marks = g.lookup(deliveries, keys, marks)
	for i := range deliveries {
		if i >= maxParallel {
			g.await(&deliveries[i-maxParallel], start)
		}
		g.dispatch(&deliveries[i], marks[i], r, &seen, site, start)
	}
	for i := max(0, len(deliveries)-maxParallel); i < len(deliveries); i++ {
		g.await(&deliveries[i], start)
	}
	for i := range deliveries {
		g.answered(&deliveries[i], deliveries[i].decision.result)
	}
	return r.answer(deliveries)
}

// answered reports the result of a device of an answered request.
func (g *Gateway) answered(d *delivery, result Result) {
	if !d.probe {
		g.Observer.Answered(d.app, result)
	}
}

// newDeliveries returns the deliveries of a request with n devices, and their keys and marks for the rejected store. For one device, as
// nearly all requests have, they are allocated together.
func newDeliveries(n int) ([]delivery, []rejected.Key, []rejected.Mark) {
	if n == 1 {
		one := new(struct {
			delivery [1]delivery
			key      [1]rejected.Key
			mark     [1]rejected.Mark
		})
		return one.delivery[:], one.key[:], one.mark[:]
	}
	return make([]delivery, n), make([]rejected.Key, n), make([]rejected.Mark, n)
}

// route finds the app of each device.
func (g *Gateway) route(deliveries []delivery, r *Request, serves func(*App) bool) {
	for i := range r.Devices {
		d := &deliveries[i]
		d.device = &r.Devices[i]
		if g.recognise(d, r) {
			continue
		}
		if app := g.Router.Route(d.device.AppID); app != nil && serves(app) {
			d.app = app
			d.key = app.keyOf(d.device)
		}
	}
}

// judge decides about devices that nothing could ever be delivered to. That is known at once, so the answer does not depend on any
// wait.
func (g *Gateway) judge(deliveries []delivery, site providers.Site, now time.Time) {
	for i := range deliveries {
		d := &deliveries[i]
		if d.app == nil {
			continue
		}
		o, unusable := d.app.judge(d.device, site)
		if !unusable || o.Doubtful && g.Shared.isProven(d.key) {
			continue
		}
		g.served(d.key, false)
		d.decide(decide(o, circumstances{}))
		a := Attempt{App: d.app, Key: d.key, Outcome: o, Result: d.decision.result}
		g.report(a, now)
	}
}

// report notes and reports an attempt.
func (g *Gateway) report(a Attempt, now time.Time) {
	g.Shared.journal.note(a, now)
	a.App.history.count(a.Kind(), 1, g.Shared.minute(now))
	g.Observer.Attempted(a)
}

// dispatch decides about a device at once where it can, and otherwise puts it on a flight.
func (g *Gateway) dispatch(d *delivery, mark rejected.Mark, r *Request, seen *views, site providers.Site, now time.Time) {
	switch {
	case d.decided:
		return
	case d.app == nil:
		d.decide(g.unknown(rejected.KeyOf(d.device.AppID, d.device.Pushkey)))
		return
	case mark.Rejects(rejected.Registered(d.device.PushkeyTS, now), now):
		d.decide(decision{result: RejectedBefore})
		return
	}
	known := g.Shared.isProven(d.key)
	g.served(d.key, known)
	view := seen.of(d.app, d.device)
	if view == nil {
		d.decide(decide(providers.Dropped("no_badges", errNoBadges), circumstances{}))
		return
	}
	host := d.app.Host(d.device)
	c := cargo{
		app: d.app, key: d.key, queue: d.key, host: host, group: groupOf(host), event: keyOfEvent(r.event, d.device), accepted: now, span: r.Span,
		push: providers.Push{Notification: view.Notification, Device: d.device, ID: newID(), Expires: now.Add(d.app.TTL), Site: site}, mark: mark,
		known: known, view: view,
	}
	f, leader, delivered := g.Shared.join(c, g.Dedupe, now)
	if delivered {
		d.decide(decision{result: Duplicate})
		return
	}
	d.flight = f
	if leader {
		if view.isWhole() {
			f.hand = r.Hand
			f.hand.share()
		}
		g.launch(f)
	}
}

// turnDown answers a request that there is no memory for. Nothing has begun, so the homeserver can send all of it again.
func (g *Gateway) turnDown(deliveries []delivery) Answer {
	a := Answer{Err: ErrBusy()}
	a.RetryAfter = a.Err.RetryAfter
	for i := range deliveries {
		a.Results[Unavailable]++
		g.answered(&deliveries[i], Unavailable)
	}
	return a
}

// newID returns the ID of a new push: a random UUID (RFC 9562 section 5.4). It need not be secret.
func newID() string {
	var id uuid.UUID
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // see above
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // see above
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}

// await waits for a device's decision for its app's wait, counted from the request's start.
func (g *Gateway) await(d *delivery, start time.Time) {
	if d.flight == nil {
		return
	}
	wait := d.app.Wait
	if d.app.hosts.isOpen(d.flight.host) {
		wait = min(wait, trialWait)
	}
	left := func(wait time.Duration) time.Duration { return wait - g.Now().Sub(start) }
	if g.Shared.await(d.flight, left(wait)) {
		d.decision = d.flight.verdict(d.device)
		return
	}
	var took effect
	if d.decision, took = g.handOver(d.flight, d.device, left(wait+storeWait)); (took == failed || took == unsure) && d.app.Wait == 0 {
		// The outbox accepted nothing, so this app waits like the others.
		if d.app.hosts.isOpen(d.flight.host) {
			wait = trialWait
		} else {
			wait = DefaultWait
		}
		if g.Shared.await(d.flight, left(wait)) {
			d.decision = d.flight.verdict(d.device)
		}
	}
}
