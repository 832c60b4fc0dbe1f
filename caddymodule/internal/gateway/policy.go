package gateway

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// effect is a decision's effect on a store, as far as it was tried.
type effect uint8

const (
	untried effect = iota
	done
	failed
	// unsure: it failed, and may have happened all the same, as when a network goes.
	unsure
)

// circumstances are what a decision depends on besides the outcome.
type circumstances struct {
	// pushkeyTS is the device's, in milliseconds; 0 if it had none.
	pushkeyTS int64
	// proven says that the app delivered something with its current settings.
	proven bool
	// held says that the fuse is tripped: no rejection is believed.
	held bool
	// quiet says that a rejection that is not believed is no reason to call anybody: anyone could have caused it.
	quiet bool
	// pending says that the push came out of the outbox, and trusted that the device was delivered to before, and an outbox is there to
	// hold what it gets.
	pending, trusted bool
	// stranger says that what the push service refuses is a matter of the device, which chose the service.
	stranger bool
	// turnedAway says that the breaker kept the push off, or a pause of its host if it is paused.
	turnedAway, paused bool
	// suspicion is done if a suspicion is proved; untried, before the store was asked, or if it is time to look again in lookIn; failed if
	// the store could not tell.
	suspicion effect
	lookIn    time.Duration
	// store says how recording the rejection went.
	store effect
	// outbox says how handing the push over went.
	outbox effect
}

// decision says what follows from an outcome: the only thing that acts on one.
type decision struct {
	// result is what becomes of the device, as far as the request's answer goes.
	result Result
	// retryAfter is when the homeserver shall send an unavailable push again.
	retryAfter time.Duration
	// notBefore is how long the outbox leaves the device alone at least: as long as the push service asked for, or as it takes a person
	// to mend something.
	notBefore time.Duration
	// park: the breaker wakes the push when it closes.
	park bool
	// spread: the push comes back after its host's pause, and not at the same time as the others.
	spread bool
	// busy: a bound of the gateway's kept the push back, and nobody was asked.
	busy bool
	// suspect: have the rejected store record a look, and say what it proves.
	suspect bool
	// record: write the verdict to the rejected store, durably, before anything else.
	record bool
	// handOver: give the push to the outbox.
	handOver bool
	// remember: the event was delivered to this device, it is not delivered again.
	remember bool
	// settle: a push that the outbox took over needs no further attempt.
	settle bool
	// alarm: the operator has to act.
	alarm bool
}

const (
	// pendingRetry is for a push whose attempt is still running: its outcome will be known soon.
	pendingRetry = 5 * time.Second
	// transientRetry is for a push service that did not say how long it wants to be left alone.
	transientRetry = 5 * time.Second
	// misconfiguredRetry is for what takes a person to mend.
	misconfiguredRetry = time.Minute
	// maxRetryAfter keeps a push service from silencing a homeserver for longer than an hour.
	maxRetryAfter = time.Hour
)

// decide is the gateway's policy. It is asked when an attempt ended, and asked again with what became of its decision's effects.
func decide(o providers.Outcome, c circumstances) decision {
	switch o.Kind {
	case providers.KindDelivered:
		return decision{result: Delivered, remember: true, settle: true}
	case providers.KindDropped:
		if o.Blocked && (c.pending || c.trusted) {
			return decideLater(misconfiguredRetry, misconfiguredRetry, c) // a reload may have caused it, and another one may end it
		}
		return decision{result: Dropped, settle: true}
	case providers.KindSuspected:
		return decideSuspected(o, c)
	case providers.KindRejected:
		return decideRejected(o, c)
	case providers.KindMisconfigured:
		after := max(o.RetryAfter, misconfiguredRetry)
		d := decideLater(after, after, c)
		d.alarm = !c.stranger
		return d
	default:
		after := o.RetryAfter
		if after <= 0 {
			after = transientRetry
		}
		d := decideLater(after, o.RetryAfter, c)
		d.park, d.spread, d.busy = c.turnedAway && !c.paused, c.turnedAway && c.paused, o.Cause == providers.CauseGateway
		return d
	}
}

// decideSuspected is about what may be another's word: see [rejected.Suspicion].
func decideSuspected(o providers.Outcome, c circumstances) decision {
	switch {
	case c.suspicion == done:
		return decideRejected(o, c)
	case c.suspicion == failed:
		return decideLater(misconfiguredRetry, misconfiguredRetry, c)
	case c.lookIn > 0:
		return decideLater(c.lookIn, c.lookIn, c)
	default:
		d := decideLater(misconfiguredRetry, misconfiguredRetry, c)
		d.suspect = true
		return d
	}
}

func decideRejected(o providers.Outcome, c circumstances) decision {
	switch {
	case o.Unusable && !c.held:
		return decision{result: Rejected, settle: true}
	case !o.Unusable && registeredAfter(o.Since, c.pushkeyTS):
		return decision{result: Dropped, settle: true} // the verdict is about an earlier registration
	case c.held, o.Doubtful && !c.proven:
		d := decideLater(misconfiguredRetry, misconfiguredRetry, c)
		d.alarm = !c.quiet
		return d
	default:
		d := decision{result: Rejected, record: true, settle: true}
		if c.store == failed {
			// An entry of the outbox goes only once the verdict is durable; until then the next attempt learns it again.
			d.settle, d.retryAfter, d.notBefore = false, transientRetry, transientRetry
		}
		return d
	}
}

// registeredAfter compares in whole seconds, since a pushkey_ts has no more.
func registeredAfter(death time.Time, pushkeyTS int64) bool {
	return !death.IsZero() && pushkeyTS/1000 > death.Unix()
}

// decidePending is the decision for a push whose attempt outlasts the request's patience.
func decidePending(c circumstances) decision { return decideLater(pendingRetry, 0, c) }

// decideLater is the decision for a push without a verdict: the outbox takes it over, or else the homeserver sends it again.
func decideLater(after, notBefore time.Duration, c circumstances) decision {
	d := decision{
		handOver: c.outbox == untried, retryAfter: min(after, maxRetryAfter), notBefore: min(max(notBefore, 0), maxRetryAfter),
	}
	if c.outbox == done {
		d.result, d.remember = Queued, true
	}
	return d
}
