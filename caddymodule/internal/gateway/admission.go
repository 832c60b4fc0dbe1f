package gateway

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// admission is the breaker's decision about an attempt that is about to begin.
type admission struct {
	turnedAway bool
	// paused is how much longer the host pauses, if that is why the attempt was turned away.
	paused time.Duration
	trial  bool
	change change
}

// applicant is an attempt that is about to begin.
type applicant struct {
	key      rejected.Key
	standing outbox.Standing
	// again means that the push was tried before. patience is how much longer than a pending push this one waits before it may be a
	// trial.
	again    bool
	patience time.Duration
}

// admit decides whether an attempt may begin. If it admits a trial, there is no other trial for breakerPause.
func (h *hosts) admit(name string, a applicant, now time.Time) (d admission) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.of(name)
	if d.paused = one.pauses.rest(a.standing == outbox.Proven, now); d.paused > 0 {
		d.turnedAway = true
		return d
	}
	if one.breaker.known && a.standing != outbox.Proven {
		a.patience += breakerPause // its failure would say nothing about the host
	}
	if d.change = one.breaker.look(now); d.change == opened {
		h.opening(one)
	}
	if !one.breaker.open || one.breaker.refusing && !a.again {
		return d
	}
	if d.trial = one.breaker.mayTry(now, a.patience); d.trial {
		one.breaker.try(now)
	}
	if d.turnedAway = !d.trial; d.turnedAway && a.standing == outbox.Proven {
		one.wanting.add(a.key)
	}
	return d
}

// begin registers an attempt that was admitted.
func (h *hosts) begin(a *attempt, name string, k rejected.Key, s outbox.Standing, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a.host, a.proven = h.of(name), s == outbox.Proven
	if b := &a.host.breaker; b.chosen && a.proven { // a delivery at another host of its group says nothing about this host
		b.known = true
	}
	if a.before = a.host.delivered; a.host.latest == k {
		a.before = a.host.other
	}
	a.host.breaker.begin(a, now)
}

// verdict is what an attempt reports when it has ended.
type verdict struct {
	key     rejected.Key
	outcome providers.Outcome
	load    int64 // the number of the app's configuration
	own     bool  // whether the host is the operator's own site
	// standing is the device's standing when the attempt began. delivered reports whether the app has delivered a push to any device.
	standing  outbox.Standing
	delivered bool
	// accepted is when the gateway received the push. kept means that there is an outbox to keep it.
	accepted time.Time
	kept     bool
}

// tells reports whether the verdict is evidence about the app. A device that chose its own push server is evidence only about itself.
// There are two exceptions: it was delivered to before, or the app has delivered nothing at all.
func (v *verdict) tells(host string) bool {
	return host == "" || v.own || v.standing == outbox.Proven || !v.delivered
}

// end counts the verdict of an attempt.
func (h *hosts) end(a *attempt, v verdict, now time.Time) change {
	h.mu.Lock()
	defer h.mu.Unlock()
	if there := h.find(a.host.name); there != nil && there != a.host { // the host was evicted and came back
		a.host, a.deliveries, a.trial = there, detached, false
	}
	k, o := v.key, v.outcome
	switch o.Kind {
	case providers.KindDelivered:
		h.keep(a.host, known)
		a.host.took(k, now)
		a.host.proof, a.host.refused = v.load, distinct{}
		a.host.pauses.took()
		h.wrong.took(a.host.name, k, v.load)
	case providers.KindMisconfigured:
		if a.host.refusing != v.load {
			a.host.refusing, a.host.refused = v.load, distinct{}
		}
		if v.tells(a.host.name) {
			a.host.refused.add(k)
		}
		if o.WrongKey {
			a.wrongKeys = h.wrong.note(a.host.name, &v, a.host.proof == v.load, now)
		}
	case providers.KindRetry:
		if o.Throttled && h.throttled(a, k, o.RetryAfter, now) {
			a.paused = true
		}
	}
	a.health = h.health.note(a.host, &v, now)
	if v.standing == outbox.Proven && isFault(o) {
		a.host.wanting.add(k)
	}
	c := a.host.breaker.end(a, k, o, now)
	switch c {
	case opened:
		h.opening(a.host)
	case closed:
		if h.open[a.host.name] == a.host {
			delete(h.open, a.host.name)
			h.opens.Add(-1)
		}
	}
	return c
}
