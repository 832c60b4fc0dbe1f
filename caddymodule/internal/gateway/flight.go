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

// flight is one push on its way. It belongs to no request: a request waits for it as long as its app says, several may wait for the
// same one, and it lands after the last of them was answered if need be. See doc.go for its life.
type flight struct {
	cargo
	gateway *Gateway // that launched it: one of an earlier configuration has another outbox
	hand    *Hand    // of its request, if it holds on to the body; nil otherwise
	attempt attempt
	change  change // of the breaker, by the attempt's verdict

	// What its attempt has until it has ended: when it began and its span, its time and its slot, the place of one out of the outbox.
	start       time.Time
	attemptSpan trace.Span
	standing    outbox.Standing
	time        context.Context //nolint:containedctx // the attempt's own, which may outlive the call that made it
	cancel      context.CancelFunc
	slot        limit.Slot
	worker      *semaphore.Weighted

	landed   chan struct{}
	outcome  providers.Outcome // once landed, as is the decision
	decision decision

	// mu guards what follows. It is never held while a store or a push service is asked.
	mu    sync.Mutex
	phase phase
	// handing is closed when the outbox has answered whether it takes the push over, or when it will not be asked any more; nil if no
	// request wanted that. Handed is its answer.
	handing chan struct{}
	handed  effect
}

// phase is how far a flight is.
type phase uint8

const (
	// clearing: the stores are asked whether it may start.
	clearing phase = iota
	// flying: the attempt is under way.
	flying
	// landing: the attempt has ended, and what the policy decides is carried out.
	landing
)

func newFlight(c cargo) *flight { return &flight{cargo: c, landed: make(chan struct{})} }

// cargo is what a flight carries.
type cargo struct {
	app  *App
	push *providers.Push
	key  rejected.Key
	// queue is the device's name in the outbox: the key, unless an earlier version accepted the push.
	queue rejected.Key
	// view is the push's notification as it was made for its request; nil for a push out of the outbox.
	view  *view
	event eventKey
	// host is where the push goes, and group whom that belongs to; empty where all pushes of the app go to the same service.
	host, group string
	// accepted is when the gateway got it.
	accepted time.Time
	// span is that of the request that it came with; nil for a push out of the outbox.
	span trace.Span
	// leased says that it came out of the outbox, and tries is how often in a row the outbox tried the device before.
	leased bool
	tries  int
	// fuse is the number of the app's latest fuse change when the attempt began.
	fuse int
	// known says that something was delivered to the device before.
	known bool
	// mark is the device's in the rejected store, which may suspect it.
	mark rejected.Mark
	// turnedAway says that the breaker kept it off, or its host's pause if it is paused: there was no attempt.
	turnedAway, paused bool
}

// ref is the name of the cargo's entry in the outbox.
func (c *cargo) ref() outbox.Ref {
	return outbox.Ref{App: c.app.Pattern, Device: c.queue, ID: c.push.ID}
}

// ownSite reports whether the push goes to the site that it came in at.
func (c *cargo) ownSite() bool {
	return c.host != "" && c.push.Site.Host != "" && c.host == c.push.Site.Host+":"+c.push.Site.Port
}

// launch starts the flight on a goroutine of its own, since it may outlast the request and must not end with it.
func (g *Gateway) launch(f *flight) {
	f.gateway = g
	g.Shared.began(f.app)
	go func() {
		if g.clear(f) {
			g.fly(f)
		} else {
			g.done(f)
		}
	}()
}

// done ends a flight that has landed, or never took off.
func (g *Gateway) done(f *flight) {
	f.hand.Close()
	if f.worker != nil {
		f.worker.Release(1)
	}
	g.Shared.ended(f.app)
}

// clear asks the stores whether a flight may start, and otherwise ends it: another gateway has the event, the device's earlier pushes are
// pending, so that it joins behind them or the homeserver sends it again, or it is not yet time to look at a suspected device.
func (g *Gateway) clear(f *flight) bool {
	f.fuse = f.app.fuse.now()
	switch g.claim(f.event) {
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
	if f.handing != nil { // a request's patience ended meanwhile
		go g.hand(f)
	}
	f.mu.Unlock()
	f.start, f.attemptSpan = g.Now(), f.startSpan()
	g.attempt(f)
}

// attempted lands a flight whose attempt has ended, and reports it. Those who wait learn of it when all of it is done that the answer stands
// on.
func (g *Gateway) attempted(f *flight, o providers.Outcome) {
	ended := g.Now()
	d := g.carryOut(f, o)
	if o.Kind == providers.KindDelivered {
		g.noteDelivered(&f.cargo)
	}
	now := g.Now()
	a := Attempt{
		App: f.app, Key: f.key, Outcome: o, Duration: ended.Sub(f.start), Age: now.Sub(f.accepted), Result: d.result, Alarm: d.alarm,
		Known: f.known, Chosen: f.host != "", Host: f.host, WrongKeys: f.attempt.wrongKeys,
	}
	g.Shared.journal.note(a, now)
	g.Observer.Attempted(a)
	f.finish(o, d)
	g.afterwards(f, o)
	endSpan(f.attemptSpan, a)
	g.done(f)
}

// handOver gives the push of a running attempt to the outbox, once, because a request's patience is over, and returns what to answer the
// request by the deadline, which is that long from now, and what the outbox said if it did by then.
func (g *Gateway) handOver(f *flight, device *providers.Device, deadline time.Duration) (decision, effect) {
	f.mu.Lock()
	if f.handing == nil && f.phase != landing {
		f.handing = make(chan struct{})
		if f.phase == flying {
			go f.gateway.hand(f)
		}
	}
	handing := f.handing // nil if it is landing: then its end is all that there is to wait for
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
		g.remember(f.event, true)
	}
	f.mu.Lock()
	f.handed = took
	close(f.handing)
	f.mu.Unlock()
}

// land says that nothing is handed over from now on, and returns what became of that.
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

// finish tells those who wait what was decided.
func (f *flight) finish(o providers.Outcome, d decision) {
	f.outcome, f.decision = o, d
	close(f.landed)
}

// await reports whether the flight has landed by the deadline, which is that long from now.
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
	if registered := f.registered(d); f.decision.result.dead() && registeredAfter(f.outcome.Since, registered) {
		return decide(f.outcome, circumstances{pushkeyTS: registered})
	}
	return f.decision
}
