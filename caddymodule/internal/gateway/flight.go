package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// flight is one push on its way. It belongs to no request: a request waits for it as long as its app says, several may wait for the
// same one, and it lands after the last of them was answered if need be.
type flight struct {
	cargo
	landed   chan struct{}
	outcome  providers.Outcome // once landed, as is the decision
	decision decision

	mu sync.Mutex
	// handed says whether the outbox took the push over while the attempt was running.
	handed effect
}

func newFlight(c cargo) *flight { return &flight{cargo: c, landed: make(chan struct{})} }

// cargo is what a flight carries.
type cargo struct {
	app   *App
	push  *providers.Push
	key   rejected.Key
	event eventKey
	// accepted is when the gateway got it.
	accepted time.Time
	// span is that of the request that it came with; nil for a push out of the outbox.
	span trace.Span
	// tries is how often in a row the outbox tried the device before.
	tries int
	// fuse is how often the app's fuse had changed when the attempt began.
	fuse int
}

// ref is the name of the cargo's entry in the outbox.
func (c *cargo) ref() outbox.Ref { return outbox.Ref{App: c.app.Pattern, Device: c.key, ID: c.push.ID} }

// launch starts the attempt on a goroutine of its own, since it may outlast the request and must not end with it.
func (g *Gateway) launch(f *flight) {
	g.Shared.began(f.app)
	go func() {
		defer g.Shared.ended(f.app)
		start, span := g.Now(), f.startSpan()
		o := g.attempt(f.app, f.push)
		a := g.attempted(f, o, start)
		endSpan(span, a)
	}()
}

// attempted lands a flight whose attempt has ended, and tells of it.
func (g *Gateway) attempted(f *flight, o providers.Outcome, start time.Time) Attempt {
	d := g.land(f, o)
	now := g.Now()
	a := Attempt{App: f.app, Key: f.key, Outcome: o, Duration: now.Sub(start), Age: now.Sub(f.accepted), Result: d.result, Alarm: d.alarm}
	g.Shared.journal.note(a, now)
	g.Observer.Attempted(a)
	return a
}

// land carries out what the policy decides about the outcome. Those who wait learn of it when all of it is done.
func (g *Gateway) land(f *flight, o providers.Outcome) decision {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := circumstances{pushkeyTS: f.push.Device.PushkeyTS, proven: f.app.proven.Load(), outbox: f.handed}
	d := decide(o, now)
	if d.record {
		now.store, now.held = g.recordUnlessTripped(func() effect { return g.record(f.cargo, o) }, f.cargo)
		d = decide(o, now)
	}
	if now.store == done {
		g.discard(f.cargo)
	}
	if o.Kind == providers.KindDelivered {
		g.alive(f.cargo)
	}
	if d.handOver {
		now.outbox = g.accept(f.cargo, acceptance{due: g.Now().Add(g.backoff(d, f.tries))})
		d = decide(o, now)
	}
	if f.handed == done || f.handed == unsure && d.settle {
		g.conclude(f.cargo, d)
	}
	if d.remember {
		g.remember(f.event, now.outbox == done)
	} else {
		g.unclaim(f.event)
	}
	g.Shared.leave(f.event)
	f.outcome, f.decision = o, d
	close(f.landed)
	return d
}

// pass lands a flight that another gateway has made needless.
func (g *Gateway) pass(f *flight, d decision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.remember {
		g.Shared.remember(f.event, g.Now())
	}
	g.Shared.leave(f.event)
	f.decision = d
	close(f.landed)
}

// handOver gives the push of a running attempt to the outbox, once, because a request's patience is over.
func (g *Gateway) handOver(f *flight, device *providers.Device) decision {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.landed:
		return f.verdict(device)
	default:
	}
	d := decidePending(circumstances{outbox: f.handed})
	if d.handOver {
		f.handed = g.accept(f.cargo, acceptance{running: true})
		d = decidePending(circumstances{outbox: f.handed})
	}
	if d.remember {
		g.remember(f.event, true)
	}
	return d
}

// record writes a verdict down. Nothing that happens to a request may interrupt it.
func (g *Gateway) record(c cargo, o providers.Outcome) effect {
	err := g.Rejected.Reject(context.Background(), c.key, rejected.Verdict{
		App: c.app.Pattern, Reason: o.Reason, PushkeyTS: c.push.Device.PushkeyTS, Since: o.Since, At: g.Now(),
	})
	if err != nil {
		g.Observer.StoreFailed("recording a rejection", err)
		return failed
	}
	return done
}

// acceptance is how the outbox takes a push: with its attempt running, or to be tried first when it is due.
type acceptance struct {
	running bool
	due     time.Time
}

// accept gives a push to the outbox.
func (g *Gateway) accept(c cargo, a acceptance) effect {
	alone := *c.push
	alone.Notification = alone.Notification.Alone()
	push, err := json.Marshal(&alone)
	if !g.remembers(c.event) {
		c.event = eventKey{}
	}
	if err == nil {
		err = g.Outbox.Accept(context.Background(), outbox.Entry{
			ID: c.push.ID, App: c.app.Pattern, Device: c.key, Event: c.event, EventUntil: g.Now().Add(g.Dedupe),
			Badge: c.push.Notification.Badge, PushkeyTS: c.push.Device.PushkeyTS, Push: push, Accepted: c.accepted, Expires: c.push.Expires,
			Running: a.running, Due: a.due,
		})
	}
	switch {
	case err == nil:
		g.deferred(c)
		return done
	case errors.Is(err, outbox.ErrOff), errors.Is(err, outbox.ErrFull):
		return failed
	default:
		g.outboxFailed("accepting a push", err)
		return unsure
	}
}

// conclude tells the outbox how an attempt at one of its entries ended.
func (g *Gateway) conclude(c cargo, d decision) {
	var err error
	if d.settle {
		err = g.Outbox.Settle(context.Background(), c.ref())
	} else {
		err = g.Outbox.Release(context.Background(), c.ref(), g.Now().Add(g.backoff(d, c.tries)))
		g.deferred(c)
	}
	if err != nil {
		g.outboxFailed("concluding an attempt", err)
	}
}

// discard removes what else waits for a device whose death is on record.
func (g *Gateway) discard(c cargo) {
	queue, ok := g.Outbox.(outbox.Queue)
	if !ok {
		return
	}
	if err := queue.Discard(context.Background(), c.app.Pattern, c.key, c.push.Device.PushkeyTS); err != nil {
		g.outboxFailed("discarding the pushes of a dead pushkey", err)
	}
}

// remembers says whether an event is one that is delivered once.
func (g *Gateway) remembers(event eventKey) bool { return event != (eventKey{}) && g.Dedupe > 0 }

// remember notes that an event needs no further delivery. An outbox that took it over has noted it already.
func (g *Gateway) remember(event eventKey, noted bool) {
	now := g.Now()
	g.Shared.remember(event, now)
	if ledger, ok := g.Outbox.(outbox.Ledger); ok && !noted && g.remembers(event) {
		ledger.Note(event, now.Add(g.Dedupe))
	}
}

// claim asks the other gateways for an event. Where they cannot be asked, it may be delivered twice rather than not at all.
func (g *Gateway) claim(event eventKey) outbox.Claim {
	claimer, ok := g.Outbox.(outbox.Claimer)
	if !ok || !g.remembers(event) {
		return outbox.Claimed
	}
	claim, err := claimer.Claim(context.Background(), event)
	if err != nil {
		g.outboxFailed("claiming an event", err)
		return outbox.Claimed
	}
	return claim
}

// unclaim lets other gateways deliver an event.
func (g *Gateway) unclaim(event eventKey) {
	claimer, ok := g.Outbox.(outbox.Claimer)
	if !ok || !g.remembers(event) {
		return
	}
	if err := claimer.Unclaim(context.Background(), event); err != nil {
		g.outboxFailed("giving up an event", err)
	}
}

// await says whether the flight has landed by the deadline, which is that long from now.
func (f *flight) await(deadline time.Duration) bool {
	select {
	case <-f.landed:
		return true
	default:
	}
	if deadline <= 0 {
		return false
	}
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case <-f.landed:
		return true
	case <-timer.C:
		return false
	}
}

// verdict is what was decided about the push of a landed flight, for a device that joined it: one that registered after the
// pushkey died is not dead because the leader was.
func (f *flight) verdict(d *providers.Device) decision {
	if f.decision.result.dead() && registeredAfter(f.outcome.Since, d.PushkeyTS) {
		return decide(f.outcome, circumstances{pushkeyTS: d.PushkeyTS})
	}
	return f.decision
}
