package gateway

import (
	"context"
	"encoding/json"
	"sync"
	"time"

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
}

// launch starts the attempt on a goroutine of its own, since it may outlast the request and must not end with it.
func (g *Gateway) launch(f *flight) {
	g.Shared.began()
	go func() {
		defer g.Shared.ended()
		start := g.Now()
		o := f.app.attempt(context.Background(), f.push)
		d := g.land(f, o)
		g.Observer.Attempted(Attempt{App: f.app, Key: f.key, Outcome: o, Duration: g.Now().Sub(start), Alarm: d.alarm})
	}()
}

// land carries out what the policy decides about the outcome. Those who wait learn of it when all of it is done.
func (g *Gateway) land(f *flight, o providers.Outcome) decision {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := circumstances{pushkeyTS: f.push.Device.PushkeyTS, proven: f.app.proven.Load(), outbox: f.handed}
	d := decide(o, now)
	if d.record {
		now.store = g.record(f.cargo, o)
		d = decide(o, now)
	}
	if d.handOver {
		now.outbox = g.accept(f.cargo, false)
		d = decide(o, now)
	}
	if f.handed == done {
		g.conclude(f.cargo, d)
	}
	if d.remember {
		g.Shared.remember(f.event, g.Now())
	}
	g.Shared.leave(f.event)
	f.outcome, f.decision = o, d
	close(f.landed)
	return d
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
		f.handed = g.accept(f.cargo, true)
		d = decidePending(circumstances{outbox: f.handed})
	}
	if d.remember {
		g.Shared.remember(f.event, g.Now())
	}
	return d
}

// record writes a verdict down. Nothing that happens to a request may interrupt it.
func (g *Gateway) record(c cargo, o providers.Outcome) effect {
	err := g.Rejected.Reject(context.Background(), c.key, rejected.Verdict{
		Reason: o.Reason, PushkeyTS: c.push.Device.PushkeyTS, Since: o.Since, At: g.Now(),
	})
	if err != nil {
		g.Observer.StoreFailed("recording a rejection", err)
		return failed
	}
	return done
}

// accept gives a push to the outbox.
func (g *Gateway) accept(c cargo, running bool) effect {
	alone := *c.push
	alone.Notification = alone.Notification.Alone()
	push, err := json.Marshal(&alone)
	if err == nil {
		err = g.Outbox.Accept(context.Background(), outbox.Entry{
			ID: c.push.ID, App: c.app.Pattern, Device: c.key, Event: c.event, Badge: c.push.Notification.Badge,
			PushkeyTS: c.push.Device.PushkeyTS, Push: push, Expires: c.push.Expires, Running: running,
		})
	}
	if err != nil {
		g.outboxFailed("accepting a push", err)
		return failed
	}
	return done
}

// conclude tells the outbox how the attempt ended that was running when it took the push over.
func (g *Gateway) conclude(c cargo, d decision) {
	var err error
	if d.settle {
		err = g.Outbox.Settle(context.Background(), c.push.ID)
	} else {
		err = g.Outbox.Release(context.Background(), c.push.ID, g.Now().Add(d.retryAfter))
	}
	if err != nil {
		g.outboxFailed("concluding an attempt", err)
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
	if f.decision.answer == dead && registeredAfter(f.outcome.Since, d.PushkeyTS) {
		return decide(f.outcome, circumstances{pushkeyTS: d.PushkeyTS})
	}
	return f.decision
}
