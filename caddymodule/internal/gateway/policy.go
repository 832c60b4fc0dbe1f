package gateway

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// effect is the effect of a decision on a store, if it was tried.
type effect uint8

const (
	untried effect = iota
	done
	failed
	// unsure: it failed, but may have happened nevertheless, for example when the network fails.
	unsure
)

// circumstances are what a decision depends on besides the outcome.
type circumstances struct {
	// pushkeyTS is the device's pushkey_ts in milliseconds; 0 if it had none.
	pushkeyTS int64
	// proven means that the app has delivered a push with its current settings.
	proven bool
	// held means that the fuse is tripped: rejections are not believed.
	held bool
	// quiet means that a rejection that is not believed does not alert the operator, because anybody could have caused it.
	quiet bool
	// pending means that the push came from the outbox. trusted means that the device was delivered to before, and that there is an
	// outbox to keep its pushes.
	pending, trusted bool
	// stranger means that the push service's refusal concerns only the device, which chose the service.
	stranger bool
	// turnedAway means that there was no attempt, because of the breaker, or of the host's pause if paused is set.
	turnedAway, paused bool
	// suspicion is done if the suspicion is proved, and failed if the store could not tell. It is untried before the store was asked,
	// and if the next look is in lookIn.
	suspicion effect
	lookIn    time.Duration
	// store is the effect of recording the rejection.
	store effect
	// outbox is the effect of handing the push over.
	outbox effect
}

// decision is everything that follows from an outcome.
type decision struct {
	// result is what becomes of the device in the request's answer.
	result Result
	// retryAfter is how long the homeserver should wait before it sends an unavailable push again.
	retryAfter time.Duration
	// notBefore is the shortest time until the outbox retries the device. It is as long as the push service asked for, or as a person
	// needs for a correction.
	notBefore time.Duration
	// park: retry the push when the breaker closes.
	park bool
	// spread: retry the push after its host's pause, but not at the same moment as the others.
	spread bool
	// busy: one of the gateway's own limits held the push back, and there was no attempt.
	busy bool
	// suspect: have the rejected store record the look, and report what it proves.
	suspect bool
	// record: write the verdict to the rejected store, durably, before anything else.
	record bool
	// handOver: give the push to the outbox.
	handOver bool
	// remember: the event was delivered to this device, so it is not delivered again.
	remember bool
	// settle: a push that the outbox has accepted needs no further attempt.
	settle bool
	// alarm: the operator must act.
	alarm bool
}

const (
	// pendingRetry is for a push whose attempt is still running, so its outcome is known soon.
	pendingRetry = 5 * time.Second
	// transientRetry is for a push service that did not send how long to wait.
	transientRetry = 5 * time.Second
	// misconfiguredRetry is for what a person must correct.
	misconfiguredRetry = time.Minute
	// maxRetryAfter keeps a push service from silencing a homeserver for longer than an hour.
	maxRetryAfter = time.Hour
)

// decide is the gateway's policy. It is called when an attempt has ended, and again with the effects of its decision.
func decide(o providers.Outcome, c circumstances) decision {
	switch o.Kind {
	case providers.KindDelivered:
		return decision{result: Delivered, remember: true, settle: true}
	case providers.KindDropped:
		if o.Blocked && (c.pending || c.trusted) {
			return decideLater(misconfiguredRetry, misconfiguredRetry, c) // a reload may have caused it, and another reload may end it
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

// decideSuspected decides about a pushkey that looks dead, but perhaps by the answer of a proxy: see [rejected.Suspicion].
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
			// The outbox's entry is removed only after the verdict is durable. Until then, the next attempt gets the verdict again.
			d.settle, d.retryAfter, d.notBefore = false, transientRetry, transientRetry
		}
		return d
	}
}

// registeredAfter reports whether a device registered after a death. It compares whole seconds, since a pushkey_ts has no fractions.
func registeredAfter(death time.Time, pushkeyTS int64) bool {
	return !death.IsZero() && pushkeyTS/1000 > death.Unix()
}

// decidePending decides about a push whose attempt takes longer than its request waits.
func decidePending(c circumstances) decision { return decideLater(pendingRetry, 0, c) }

// decideLater decides about a push without a verdict: the outbox takes it over, or else the homeserver sends it again.
func decideLater(after, notBefore time.Duration, c circumstances) decision {
	d := decision{
		handOver: c.outbox == untried, retryAfter: min(after, maxRetryAfter), notBefore: min(max(notBefore, 0), maxRetryAfter),
	}
	if c.outbox == done {
		d.result, d.remember = Queued, true
	}
	return d
}
