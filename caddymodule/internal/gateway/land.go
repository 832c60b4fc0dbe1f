package gateway

import (
	"context"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// land ends a flight without an attempt.
func (g *Gateway) land(f *flight, o providers.Outcome) {
	f.finish(o, g.carryOut(f, o))
}

// orNowhere drops a push whose host's name does not exist. Anybody can send pushes to any name, and pushes to blocked addresses are
// dropped. If this push was pending instead, or counted for the breaker, the answers would reveal which names exist in the operator's
// network.
//
// It keeps the outcome if the device or its host was delivered to before, or if the push is pending: then the name existed once.
func (g *Gateway) orNowhere(f *flight, o providers.Outcome) providers.Outcome {
	if f.leased {
		return o
	}
	return g.nowhere(f.app, f.key, f.host, o)
}

func (g *Gateway) nowhere(app *App, k rejected.Key, host string, o providers.Outcome) providers.Outcome {
	if !o.NoSuchName || o.Kind != providers.KindRetry || g.Shared.isProven(k) || app.hosts.tookPush(host) {
		return o
	}
	return providers.Dropped(o.Reason, o.Err)
}

// circumstances returns the circumstances of an outcome before anything was done about it. From now on, nothing is handed over any
// more.
func (g *Gateway) circumstances(f *flight, o providers.Outcome) circumstances {
	c := circumstances{
		pushkeyTS: f.registered(f.push.Device), proven: f.app.proven.Load(), pending: f.leased, turnedAway: f.turnedAway, paused: f.paused, outbox: f.land(),
	}
	if f.leased {
		c.outbox = done
	}
	c.trusted = o.Blocked && g.box.queue != nil && g.Shared.isProven(f.key)
	// Anybody can make up devices that are refused. If the app has delivered to other devices, these do not alert the operator.
	madeUp := func() bool { return !f.known && g.Shared.hasProven(f.app) }
	c.stranger = o.Kind == providers.KindMisconfigured && (f.host != "" && madeUp() || !f.app.hosts.blames(f.host, f.app.load))
	c.quiet = o.Doubtful && madeUp()
	return c
}

// carryOut does what the policy decides about the outcome, except to publish the decision.
func (g *Gateway) carryOut(f *flight, o providers.Outcome) decision {
	c := g.circumstances(f, o)
	handed := c.outbox
	d := decide(o, c)
	if d.suspect {
		c.suspicion, c.lookIn = g.suspect(f, o)
		d = decide(o, c)
	}
	if d.record {
		c.store, c.held = g.recordUnlessHeld(f, func() effect { return g.record(&f.cargo, o) })
		if c.held {
			c.quiet = !f.app.fuse.alarms(f.host)
		}
		d = decide(o, c)
	}
	if c.store == done {
		g.box.discard(&f.cargo)
	}
	if d.handOver {
		c.outbox = g.offer(&f.cargo, acceptance{due: g.due(d, f)})
		d = decide(o, c)
	}
	settled := true
	if handed == done || handed == unsure && d.settle {
		settled = g.conclude(f, d)
	}
	if d.remember {
		g.remember(&f.cargo, c.outbox == done)
	}
	if inDoubt := c.outbox == unsure && !d.settle; inDoubt || !settled {
		g.doubt(f, d)
	} else {
		g.leave(f, d)
	}
	return d
}

// leave ends a flight's part in duplicate suppression.
func (g *Gateway) leave(f *flight, d decision) {
	if !d.remember && g.remembers(f.event) {
		g.box.unclaim(&f.cargo)
	}
	g.Shared.leave(f.event)
}

// pass lands a flight that is not needed because of another gateway.
func (g *Gateway) pass(f *flight, d decision) {
	f.land()
	if d.remember {
		g.Shared.remember(f.event, g.Now())
	}
	g.Shared.leave(f.event)
	f.finish(providers.Outcome{}, d)
}

// record writes a verdict to the rejected store. The end of a request does not interrupt it.
func (g *Gateway) record(c *cargo, o providers.Outcome) effect {
	ctx, cancel := context.WithTimeout(context.Background(), rejected.WriteTime)
	defer cancel()
	v := c.verdict(o, g.Now())
	if err := g.Rejected.Reject(ctx, c.key, v); err != nil {
		g.Observer.StoreFailed("recording a rejection", err)
		return failed
	}
	g.Shared.suspects.remove(c.app.Pattern, c.key)
	g.Shared.proven.remove(c.key)
	return done
}

// verdict returns the verdict to record for an outcome.
func (c *cargo) verdict(o providers.Outcome, now time.Time) rejected.Verdict {
	return rejected.Verdict{App: c.app.Pattern, Reason: o.Reason, PushkeyTS: c.registered(c.push.Device), Since: o.Since, At: now}
}

// acceptance is how the outbox accepts a push: with its attempt running, or to be tried first when it is due.
type acceptance struct {
	running bool
	due     time.Time
}

// offer gives a push to the outbox, unless the outbox hangs: then the pushes already in doubt are enough.
func (g *Gateway) offer(c *cargo, a acceptance) effect {
	if g.box.doubts.Load() >= maxDoubts {
		return failed
	}
	return effectOf(g.accept(c, a))
}

// accept gives a push to the outbox.
func (g *Gateway) accept(c *cargo, a acceptance) error {
	push, err := c.marshal()
	if err != nil {
		g.box.failed("accepting a push", err)
		return err
	}
	e := outbox.Entry{
		ID: c.push.ID, App: c.app.Pattern, Device: c.queue, EventUntil: g.Now().Add(g.Dedupe),
		Replace: c.app.Replace(c.push.Notification, c.push.Device),
		Host:    c.host, Group: c.group, Standing: g.standing(c),
		PushkeyTS: c.registered(c.push.Device), Push: push, Accepted: c.accepted, Expires: c.push.Expires, Running: a.running, Due: a.due,
	}
	if g.remembers(c.event) {
		e.Event = c.event
	}
	if err := g.place(c.app, e); err != nil {
		return err
	}
	if !a.running {
		g.deferred(c)
	}
	return nil
}

// marshal returns the push as the outbox stores it.
func (c *cargo) marshal() ([]byte, error) {
	if c.view == nil {
		c.view = again(c.app, c.push.Notification)
	}
	return marshalKept(&c.push, c.view.stored())
}

// conclude reports the end of an attempt at an entry to the outbox, and returns whether the outbox has confirmed it.
func (g *Gateway) conclude(f *flight, d decision) bool {
	if d.settle {
		return g.box.settle(f.ref()) == nil
	}
	g.box.release(f.ref(), g.due(d, f), !f.turnedAway)
	g.deferred(&f.cargo)
	return true
}

// due returns when a push is retried.
func (g *Gateway) due(d decision, f *flight) time.Time {
	return g.Now().Add(g.backoff(d, f))
}

// afterwards does what remains after an attempt. Nothing waits for it.
func (g *Gateway) afterwards(f *flight, o providers.Outcome) {
	if f.change == closed {
		g.box.rouseHost(f.app, f.host, 0)
	}
	if o.Kind != providers.KindDelivered {
		return
	}
	if g.Shared.suspects.remove(f.app.Pattern, f.key) || f.mark.LookAt > 0 {
		g.acquit(&f.cargo)
	}
	if f.host != "" {
		g.testify(f)
	}
}

// remembers reports whether an event is delivered only once.
func (g *Gateway) remembers(event eventKey) bool { return event != (eventKey{}) && g.Dedupe > 0 }

// remember notes that a push's event needs no further delivery. If the outbox accepted the push, it has already noted that.
func (g *Gateway) remember(c *cargo, noted bool) {
	now := g.Now()
	if forgotten := g.Shared.remember(c.event, now); forgotten > 0 && g.box.claimer == nil {
		g.Observer.Forgot(forgotten) // a claimer has them nevertheless
	}
	if g.box.ledger != nil && !noted && g.remembers(c.event) {
		g.box.ledger.Note(c.queue, c.event, now.Add(g.Dedupe))
	}
}

// claim claims a push's event, so no other gateway delivers it.
func (g *Gateway) claim(c *cargo) outbox.Claim {
	if !g.remembers(c.event) {
		return outbox.Claimed
	}
	return g.box.claim(c)
}
