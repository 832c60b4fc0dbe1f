package gateway

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// A breaker opens when more than breakerShare of the verdicts of the last breakerWindow are failures, and there are at least
	// breakerMin verdicts.
	breakerWindow = 30 * time.Second
	breakerMin    = 10
	breakerShare  = 0.6
	// breakerPause is the time between two trials while the breaker is open.
	breakerPause = 10 * time.Second

	// An attempt that has run for slowAfter counts as a failure if nothing was delivered since it began. The first delivery of a
	// service that is merely slow takes a while. So these attempts count only once the first of them has run for hungAfter.
	slowAfter = 5 * time.Second
	hungAfter = 10 * time.Second

	// witnesses is how many distinct devices must get a 5xx from a host that devices chose before it counts as the host's failure.
	witnesses = 3
)

// breaker keeps attempts away from a push service that is down, so no request waits for it. It rejects nothing: pushes that it turns
// away are retried later.
//
// A verdict counts when it arrives, and an attempt that hangs counts before it ends. Any delivery closes the breaker. While it is open,
// one attempt per breakerPause is a trial. It is not safe for concurrent use: the lock of its table guards it.
type breaker struct {
	// chosen means that devices choose the host. Then a 5xx needs witnesses, because it may concern only one path of the host.
	chosen bool
	// known means that such a host was delivered to before. Then only failures of devices that it took pushes for count.
	known bool

	verdicts window
	failed   distinct // devices that got a 5xx since the last delivery

	// first and last are the ends of the list of attempts under way since the last delivery, oldest first. The slow ones are those
	// before fast.
	first, last, fast *attempt
	slow              int
	// deliveries counts the deliveries. Attempts that began before the latest one do not count as slow.
	deliveries int

	open bool
	// refusing means that the breaker is open only because of answers, from a host that never took a push. Then each push may be tried
	// once. So a stranger's server gets no more requests than the stranger causes, and a newcomer that the host would serve is not
	// turned away.
	refusing bool
	trialAt  time.Time // when the next trial may begin
	offerAt  time.Time // when to make a pending push due as the next trial
	trials   int       // trials under way
	// offered means that a pending push of a device that was delivered to before has been made due for the next trial.
	offered bool
}

// attempt is an attempt under way, in its breaker's list.
type attempt struct {
	host       *host
	began      time.Time
	before     time.Time // when the host had last taken a push at that time
	deliveries int       // the breaker's count when the attempt began; detached if the attempt is not in a list
	slow       bool
	trial      bool
	proven     bool // whether the device was delivered to before
	// paused means that the answer made the host pause. wrongKeys is how many devices of the host have another key, if that is to be
	// reported.
	paused     bool
	wrongKeys  int
	outlived   bool   // it hung until the service worked again
	health     course // of the app, by the attempt's verdict
	prev, next *attempt
}

// detached marks an attempt that is not in any breaker's list.
const detached = -1

// change is what happened to a breaker.
type change uint8

const (
	unchanged change = iota
	opened
	closed
)

// look opens the breaker if the verdicts and the attempts under way call for it.
func (b *breaker) look(now time.Time) change {
	if b.open {
		return unchanged
	}
	c := b.verdicts.sum(now)
	down := c.unreached + b.hung(now)
	bad := down
	if !b.chosen || c.delivered == 0 && b.failed.n == witnesses {
		bad += c.broken
	}
	if all := c.good + bad; all < breakerMin || float64(bad) <= breakerShare*float64(all) {
		return unchanged
	}
	b.refusing = b.chosen && !b.known && down == 0
	b.open, b.offered, b.trialAt, b.offerAt = true, false, now.Add(breakerPause), now.Add(breakerPause)
	return opened
}

// mayTry reports whether an attempt that begins now may be a trial.
func (b *breaker) mayTry(now time.Time, patience time.Duration) bool {
	return !now.Before(b.trialAt.Add(patience))
}

// try begins a trial.
func (b *breaker) try(now time.Time) {
	b.trialAt, b.offerAt, b.offered = now.Add(breakerPause), now.Add(breakerPause), false
}

// begin adds an attempt.
func (b *breaker) begin(a *attempt, now time.Time) {
	a.began, a.deliveries = now, b.deliveries
	if a.trial {
		b.trials++
	}
	if !b.heeds(a) {
		a.deliveries = detached
		return
	}
	a.prev = b.last
	if b.last == nil {
		b.first = a
	} else {
		b.last.next = a
	}
	b.last = a
	if b.fast == nil {
		b.fast = a
	}
}

// heeds reports whether a failure of an attempt counts as the host's failure, and not only as its device's.
func (b *breaker) heeds(a *attempt) bool { return !b.chosen || !b.known || a.proven }

// hung returns how many attempts count as failures although they have not ended.
func (b *breaker) hung(now time.Time) int {
	for b.fast != nil && now.Sub(b.fast.began) >= slowAfter {
		b.fast.slow = true
		b.slow++
		b.fast = b.fast.next
	}
	if b.first == nil || now.Sub(b.first.began) < hungAfter {
		return 0
	}
	return b.slow
}

// end removes an attempt, and counts its verdict.
func (b *breaker) end(a *attempt, k rejected.Key, o providers.Outcome, now time.Time) change {
	late := a.deliveries != b.deliveries // whether something was delivered since it began
	// Whether its failure counts, or would have counted while nothing was delivered: the delivery may have made the host known.
	counted := a.deliveries != detached || b.heeds(a)
	b.remove(a)
	if a.trial {
		b.trials--
	}
	switch {
	case o.Kind == providers.KindDelivered:
		b.verdicts.at(now).delivered++
		b.known = b.chosen
		b.delivered()
		return b.close()
	case late && counted && isFault(o) && o.Cause == providers.CauseNetwork && now.Sub(a.began) >= slowAfter:
		a.outlived = true // it hung together with others, and the service works again
	case !b.heeds(a) && !answered(o):
	case isFault(o), b.chosen && !b.known && refuses(o):
		b.fail(k, o, now)
		b.refusing = b.refusing && o.Cause != providers.CauseNetwork
		return b.look(now)
	case answered(o):
		b.verdicts.at(now).good++
		if a.trial && o.Kind != providers.KindSuspected { // a proxy in front of a dead service answers like that too
			return b.close()
		}
	}
	return unchanged
}

// remove removes an attempt from the list, if it is still in it.
func (b *breaker) remove(a *attempt) {
	if a.deliveries != b.deliveries {
		return // the list was started again since then
	}
	if a.slow {
		b.slow--
	}
	if b.fast == a {
		b.fast = a.next
	}
	if a.prev == nil {
		b.first = a.next
	} else {
		a.prev.next = a.next
	}
	if a.next == nil {
		b.last = a.prev
	} else {
		a.next.prev = a.prev
	}
	a.prev, a.next = nil, nil
}

// delivered forgets what counts only while nothing is delivered.
func (b *breaker) delivered() {
	b.deliveries++
	b.first, b.last, b.fast, b.slow, b.failed = nil, nil, nil, 0, distinct{}
}

func (b *breaker) close() change {
	if !b.open {
		return unchanged
	}
	b.open = false
	b.verdicts = window{}
	b.delivered() // otherwise the attempts that hang would open it again at once
	return closed
}

func (b *breaker) fail(k rejected.Key, o providers.Outcome, now time.Time) {
	c := b.verdicts.at(now)
	if o.Cause == providers.CauseNetwork {
		c.unreached++
		return
	}
	c.broken++
	b.failed.add(k)
}

// state returns the breaker's state.
func (b *breaker) state() string {
	switch {
	case !b.open:
		return breakerClosed
	case b.trials > 0:
		return breakerHalfOpen
	default:
		return breakerOpen
	}
}

// The states of a breaker, as operators see them.
const (
	breakerClosed   = "closed"
	breakerOpen     = "open"
	breakerHalfOpen = "half-open"
)

// isFault reports whether an outcome means that the push service is down. A dead pushkey, a device that must wait, a push that the
// service refuses, refused credentials and the gateway's own limits do not mean that.
func isFault(o providers.Outcome) bool {
	return o.Kind == providers.KindRetry && (o.Cause == providers.CauseService || o.Cause == providers.CauseNetwork)
}

// answered reports whether an outcome shows that the push service was reached and works, although it delivered nothing.
func answered(o providers.Outcome) bool {
	switch o.Kind {
	case providers.KindRejected:
		return !o.Unusable
	case providers.KindRetry:
		return o.Cause == providers.CauseDevice
	default:
		return o.Kind == providers.KindSuspected
	}
}

// turnedAway returns the outcome of a push that the breaker turned away.
func turnedAway() providers.Outcome {
	o := providers.Busy("breaker_open", nil)
	o.RetryAfter = breakerPause
	return o
}

// window counts the verdicts of the last breakerWindow, by arrival.
type window [breakerWindow / bucketTime]counts

// bucketTime is the resolution of a window.
const bucketTime = 5 * time.Second

// counts are the verdicts of one bucket of time.
type counts struct {
	while int64 // the bucket: time since 1970 in units of bucketTime
	// good counts verdicts that are not failures; in a sum, delivered is part of it. unreached and broken count failures without and
	// with an answer.
	good, delivered, unreached, broken int
}

// at returns the counts for a verdict that arrives now.
func (w *window) at(now time.Time) *counts {
	while := now.UnixNano() / int64(bucketTime)
	c := &w[while%int64(len(w))]
	if c.while != while {
		*c = counts{while: while}
	}
	return c
}

func (w *window) sum(now time.Time) (sum counts) {
	while := now.UnixNano() / int64(bucketTime)
	for _, c := range w {
		if while-c.while < int64(len(w)) {
			sum.good += c.good + c.delivered
			sum.delivered += c.delivered
			sum.unreached += c.unreached
			sum.broken += c.broken
		}
	}
	return sum
}
