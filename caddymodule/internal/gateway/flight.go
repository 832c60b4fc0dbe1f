package gateway

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// flight is one push on its way. It does not belong to a request: each request waits for it for its app's wait, and several requests
// may wait for the same flight. It may land after the last of them was answered. See doc.go for its life.
type flight struct {
	cargo
	gateway *Gateway // that launched it: the gateway of an earlier configuration has another outbox
	hand    *Hand    // the request's, if the flight holds on to the body; nil otherwise
	attempt attempt
	change  change // to the breaker, by the attempt's verdict

	// The attempt's start, span, standing and context, and what it holds until it ends: its slot, and the worker of a push from the outbox.
	start       time.Time
	attemptSpan trace.Span
	standing    outbox.Standing
	time        context.Context //nolint:containedctx // the attempt may outlive the call that started it
	cancel      context.CancelFunc
	slot        limit.Slot
	worker      *semaphore.Weighted

	landed   chan struct{}
	outcome  providers.Outcome // set once landed, like the decision
	decision decision

	// mu guards what follows. It is never held during a call to a store or a push service.
	mu    sync.Mutex
	phase phase
	// handing is closed when the outbox has answered whether it accepts the push, or when it will not be asked. It is nil if no request
	// wanted to hand the push over. handed is the outbox's answer.
	handing chan struct{}
	handed  effect
}

// phase is the progress of a flight.
type phase uint8

const (
	// clearing: the stores are asked whether the flight may start.
	clearing phase = iota
	// flying: the attempt is under way.
	flying
	// landing: the attempt has ended, and the policy's decision is carried out.
	landing
)

func newFlight(c cargo) *flight { return &flight{cargo: c, landed: make(chan struct{})} }

// cargo is what a flight carries.
type cargo struct {
	app  *App
	push providers.Push
	key  rejected.Key
	// queue is the device's name in the outbox: the key, unless an earlier version accepted the push.
	queue rejected.Key
	// view is the push's notification as made for its request; nil for a push from the outbox.
	view  *view
	event eventKey
	// host is where the push goes, and group is who the host belongs to; empty if all pushes of the app go to the same service.
	host, group string
	// accepted is when the gateway received the push.
	accepted time.Time
	// span is the span of its request; nil for a push from the outbox.
	span trace.Span
	// leased means that the push came from the outbox. tries is how many attempts in a row failed for the device before.
	leased bool
	tries  int
	// fuse is the number of the app's latest fuse change when the attempt began.
	fuse int
	// known means that the device was delivered to before.
	known bool
	// mark is the device's mark in the rejected store, which may suspect it.
	mark rejected.Mark
	// turnedAway means that there was no attempt, because of the breaker, or of the host's pause if paused is set.
	turnedAway, paused bool
}

// ref returns the reference of the cargo's entry in the outbox.
func (c *cargo) ref() outbox.Ref {
	return outbox.Ref{App: c.app.Pattern, Device: c.queue, ID: c.push.ID}
}

// ownSite reports whether the push goes to the site that it came in at.
func (c *cargo) ownSite() bool { return isOwn(c.host, c.push.Site) }

// isOwn reports whether a host is a site.
func isOwn(host string, s providers.Site) bool {
	return host != "" && s.Host != "" && host == s.Host+":"+s.Port
}

// launch starts a flight that [Shared.join] returned. It has a goroutine of the crew, because it may outlast the request and must not end
// with it.
func (g *Gateway) launch(f *flight) {
	f.gateway = g
	g.Shared.crew.run(f)
}

func (f *flight) run() {
	if g := f.gateway; g.clear(f) {
		g.fly(f)
	} else {
		g.done(f)
	}
}

// done ends a flight that has landed or that could not start, and releases what it held.
func (g *Gateway) done(f *flight) {
	f.hand.Close()
	if f.worker != nil {
		f.worker.Release(1)
	}
	g.Shared.ended()
}

// clear asks the stores whether a flight may start, and otherwise ends it for one of three reasons:
//
//   - Another gateway has the event.
//   - The device has pending pushes. This push joins behind them, or the homeserver sends it again.
//   - The device is suspected, and it is too early to look again.
func (g *Gateway) clear(f *flight) bool {
	f.fuse = f.app.fuse.now()
	switch g.claim(&f.cargo) {
	case outbox.Claimed:
	case outbox.Done:
		g.pass(f, decision{result: Duplicate, remember: true})
		return false
	case outbox.Taken:
		g.pass(f, decision{result: Unavailable, retryAfter: pendingRetry})
		return false
	}
	g.awaitMoved(&f.cargo)
	if g.box.waiting(&f.cargo) {
		g.land(f, providers.Limited("behind_others", 0, nil))
		return false
	}
	if now := g.Now(); f.mark.Waits(now) {
		g.land(f, providers.Limited("suspected", time.Unix(int64(f.mark.LookAt), 0).Sub(now), nil))
		return false
	}
	return true
}

// fly makes the attempt, and lands.
func (g *Gateway) fly(f *flight) {
	f.mu.Lock()
	f.phase = flying
	if f.handing != nil { // a request's wait ended in the meantime
		go g.hand(f)
	}
	f.mu.Unlock()
	f.start, f.attemptSpan = g.Now(), f.startSpan()
	g.attempt(f)
}

// attempted lands a flight whose attempt has ended, and reports it. Waiting requests are answered once everything is done that their
// answer depends on.
func (g *Gateway) attempted(f *flight, o providers.Outcome) {
	ended := g.Now()
	d := g.carryOut(f, o)
	var fuse fuseState
	if o.Kind == providers.KindDelivered {
		g.noteDelivered(&f.cargo)
		fuse = g.alive(&f.cargo) // before the answer: the next request may bring a verdict that is newer
	}
	now := g.Now()
	a := Attempt{
		App: f.app, Key: f.key, Outcome: o, Duration: ended.Sub(f.start), Age: now.Sub(f.accepted), Result: d.result, Alarm: d.alarm,
		Known: f.known, Chosen: f.host != "", Host: f.host, WrongKeys: f.attempt.wrongKeys,
	}
	g.report(a, now)
	f.finish(o, d)
	g.fuseChanged(f.app, fuse)
	g.afterwards(f, o)
	endSpan(f.attemptSpan, a)
	g.done(f)
}

// handOver gives the push of a running attempt to the outbox, once, because a request's wait is over. The deadline counts from now. It
// returns the decision to answer by, and the outbox's answer if there was one in time.
func (g *Gateway) handOver(f *flight, device *providers.Device, deadline time.Duration) (decision, effect) {
	f.mu.Lock()
	if f.handing == nil && f.phase != landing {
		f.handing = make(chan struct{})
		if f.phase == flying {
			go f.gateway.hand(f)
		}
	}
	handing := f.handing // nil if the flight is landing: then only its end is left to wait for
	f.mu.Unlock()

	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case <-f.landed:
		return f.verdict(device), untried
	case <-handing:
	case <-timer.C:
		return decidePending(circumstances{outbox: unsure}), untried
	}
	f.mu.Lock()
	took := f.handed
	f.mu.Unlock()
	if took == untried { // it landed without the outbox
		select {
		case <-f.landed:
			return f.verdict(device), untried
		case <-timer.C:
			return decidePending(circumstances{outbox: unsure}), untried
		}
	}
	return decidePending(circumstances{outbox: took}), took
}

// hand gives the push of a running attempt to the outbox.
func (g *Gateway) hand(f *flight) {
	took := g.offer(&f.cargo, acceptance{running: true})
	if took == done {
		g.remember(&f.cargo, true)
	}
	f.mu.Lock()
	f.handed = took
	close(f.handing)
	f.mu.Unlock()
}

// land stops the handing over of the push, and returns how it went if it had already begun.
func (f *flight) land() (handed effect) {
	f.mu.Lock()
	was := f.phase
	f.phase = landing
	handing := f.handing
	if was == clearing && handing != nil {
		close(handing)
	}
	f.mu.Unlock()
	if was == clearing || handing == nil {
		return untried
	}
	<-handing
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.handed
}

// finish publishes the decision to those who wait.
func (f *flight) finish(o providers.Outcome, d decision) {
	f.outcome, f.decision = o, d
	close(f.landed)
}

// await reports whether the flight has landed by the deadline, which counts from now.
func (s *Shared) await(f *flight, deadline time.Duration) bool {
	select {
	case <-f.landed:
		return true
	default:
	}
	if deadline <= 0 {
		return false
	}
	timer := s.timer(deadline)
	defer s.stop(timer)
	select {
	case <-f.landed:
		return true
	case <-timer.C:
		return false
	}
}

// verdict returns the decision about the push of a landed flight, for a device that joined it. A device that registered after the
// pushkey died is not dead because the leader is.
func (f *flight) verdict(d *providers.Device) decision {
	if registered := f.registered(d); f.decision.result.dead() && registeredAfter(f.outcome.Since, registered) {
		return decide(f.outcome, circumstances{pushkeyTS: registered})
	}
	return f.decision
}
