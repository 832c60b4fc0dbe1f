package gateway

import (
	"crypto/rand"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// Options are the parts of a gateway.
type Options struct {
	Router   *Router
	Rejected rejected.Store
	Outbox   outbox.Box
	// Dedupe is how long a delivered event is remembered; 0 turns that off.
	Dedupe time.Duration
	// Fuse is when rejections are held.
	Fuse     FuseOptions
	Shared   *Shared
	Observer Observer
	Now      func() time.Time
	// Jitter returns a random duration below the given one.
	Jitter func(time.Duration) time.Duration
	// Before is the gateway of the live configuration; nil if there is none. New takes over the histories of its apps, and forgets Before.
	Before *Gateway
}

// Gateway delivers notifications according to one configuration.
type Gateway struct {
	Options
	// Sites are the sites that mount the gateway. They are set before it starts, and nil if they are not known.
	Sites []Site

	box *box
	// recalled means that Recall is complete. Only the goroutine that recalls uses it.
	recalled bool
	// retired means that another configuration took over.
	retired atomic.Bool
}

// loads counts the gateways that were made.
var loads atomic.Int64

// New makes a gateway. It takes over its apps: no other gateway may have them.
func New(o Options) *Gateway {
	load := loads.Add(1)
	for _, app := range o.Router.Apps() {
		app.load = load
		app.hosts, app.fuse = o.Shared.hostsOf(app.Pattern), o.Shared.Fuses.of(app.Pattern)
		app.history = o.Before.historyOf(app.Pattern)
		app.key = appKey(app.Pattern)
	}
	o.Before = nil // otherwise, no configuration would ever be freed
	g := &Gateway{Options: o, box: newBox(o.Outbox, o.Observer)}
	g.reportLosses()
	return g
}

// Observer is notified of events, to report them to the operator. It is called from many goroutines and must not block.
type Observer interface {
	// Attempted is called when an attempt to deliver has ended, and for a push that made way for another one in the outbox.
	Attempted(Attempt)
	// Refused is called when the outbox had no room for a push.
	Refused(app *App, why Refusal)
	// Lost is called when the outbox has dropped pushes by itself. The app has no provider if it is no longer configured.
	Lost(app *App, why outbox.Loss, pushes int)
	// Forgot is called when delivered events were forgotten before their time, because there were too many.
	Forgot(events int)
	// Answered is called for each device of a request when it is answered. The app is nil if none serves the device.
	Answered(app *App, result Result)
	// HostPaused is called when a host that devices choose has throttled so many of them that its pushes pause.
	HostPaused(app *App, host string)
	// BreakerOpened is called once when so many attempts failed that the breaker opens. The host is empty if all of the app's pushes go
	// to one service.
	BreakerOpened(app *App, host string)
	// BreakerClosed is called once when the push service works again.
	BreakerClosed(app *App, host string)
	// AppFailing is called once when an app begins to fail: for a while, all its pushes failed and nothing was delivered.
	AppFailing(app *App, why Failing)
	// AppRecovered is called once when an answer of the push service shows that the app works again.
	AppRecovered(app *App)
	// FuseTripped is called when too many pushkeys of an app, or of one of its hosts, were rejected. Their rejections are withdrawn,
	// and further ones are held. The app is empty for devices of unknown apps. alarm means that known devices would trip it by
	// themselves. If that happens later, FuseTripped is called again.
	FuseTripped(app, host string, pushkeys int, alarm bool)
	// FuseReset is called when rejections are believed again, because their share fell or the operator reset the fuse. alarm means that
	// FuseTripped was called with it.
	FuseReset(app, host string, byOperator, alarm bool)
	// StoreFailed is called when a call to a store failed. The error does not contain a pushkey.
	StoreFailed(doing string, err error)
	// Probed is called for the first request of doctor and of a homeserver for a probe.
	Probed(by Sighting, isDoctor bool)
}

// Attempt describes an attempt to an observer.
type Attempt struct {
	App      *App
	Key      rejected.Key
	Outcome  providers.Outcome
	Duration time.Duration
	// Age is the time from the acceptance of the notification to the end of the attempt.
	Age time.Duration
	// Result is the policy's decision about the outcome. Alarm means that the operator must act.
	Result Result
	Alarm  bool
	// Untried means that there was no attempt: the push made way for another one in the outbox.
	Untried bool
	// Known means that the device was delivered to before. Chosen means that the device chose the push server: anybody can make up any
	// number of pushkeys, and have a server report them dead.
	Known, Chosen bool
	// Host is where the push went; empty if all pushes of the app go to one service.
	Host string
	// WrongKeys is how many devices at the host subscribed with another key than the app's, if that is to be reported now.
	WrongKeys int
}

// Kind returns one word for the result of the attempt. Four words differ from the outcome's, and none of them rejects anybody:
//
//   - doubted: the rejection is not believed yet
//   - held: likewise, but the operator is not alerted
//   - outdated: the rejection is about an earlier registration of the device
//   - unauthorized: the credentials were refused by a server that the device chose; otherwise that is misconfigured
//
// A suspicion that has lasted is rejected.
func (a *Attempt) Kind() string {
	switch {
	case a.Outcome.Kind == providers.KindSuspected && a.Result.dead():
		return providers.KindRejected.String()
	case a.Outcome.Kind == providers.KindMisconfigured && !a.Alarm:
		return kindUnauthorized
	case a.Outcome.Kind != providers.KindRejected || a.Result.dead():
		return a.Outcome.Kind.String()
	case a.Alarm:
		return kindDoubted
	case a.Result == Dropped:
		return kindOutdated
	default:
		return kindHeld
	}
}

// The kinds of attempts that are not an outcome's.
const (
	kindDoubted      = "doubted"
	kindHeld         = "held"
	kindOutdated     = "outdated"
	kindUnauthorized = "unauthorized"
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

// newID returns the ID of a new push: a random UUID (RFC 9562 section 5.4).
func newID() string {
	var id uuid.UUID
	_, _ = rand.Read(id[:]) // never fails
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
