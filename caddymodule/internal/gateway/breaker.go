package gateway

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// A breaker opens when of the verdicts of breakerWindow, at least breakerMin, more than breakerShare are failures.
	breakerWindow = 30 * time.Second
	breakerMin    = 10
	breakerShare  = 0.6
	// breakerPause is how long it is from one trial to the next while it is open.
	breakerPause = 10 * time.Second

	// An attempt that runs for longer than slowAfter is a failure as long as nothing was delivered since it began. A service that is
	// only slow takes some time for its first delivery, so these count once the first of them has run for hungAfter.
	slowAfter = 5 * time.Second
	hungAfter = 10 * time.Second

	// witnesses is how many distinct devices have to get a 5xx from a host that devices choose before it is the host's failure.
	witnesses = 3
)

// breaker keeps attempts off a push service that is down, so no request waits for it. It rejects nobody: what it turns away is for later.
//
// A verdict counts when it comes, and an attempt that hangs does not have to end to count. Any delivery closes the breaker. While it is
// open, one attempt each breakerPause is a trial. It is not safe for concurrent use: its table's lock guards it.
type breaker struct {
	// chosen means that devices choose the host: then a 5xx, which a single path may answer, needs witnesses.
	chosen bool
	// known means that such a host took pushes before: then nobody's failures count but those of devices that it took them for.
	known bool

	verdicts window
	failed   distinct // devices that got a 5xx since the last delivery

	// The attempts under way since the last delivery, the oldest first, and how many of them are slow: those before fast.
	first, last, fast *attempt
	slow              int
	// deliveries counts them: what began before the latest one does not count as slow.
	deliveries int

	open bool
	// refusing means that it is open for the answers alone of a host that never took a push: then each push may be tried once. Who named the
	// server has it asked no more often than they ask, and a newcomer that it does take pushes for is not kept off for others.
	refusing bool
	trialAt  time.Time // when the next trial may begin
	offerAt  time.Time // when a pending push is to be made due for it
	trials   int       // under way
	// offered says that a pending push of a device that was delivered to before was made due for the next trial.
	offered bool
}

// attempt is an attempt under way, in its breaker's list.
type attempt struct {
	host       *host
	began      time.Time
	before     time.Time // when the host had last taken a push by then
	deliveries int       // of the breaker when it began; detached if it is in no list
	slow       bool
	trial      bool
	proven     bool // the device was delivered to before
	// paused says that its answer made the host pause, and wrongKeys how many devices of the host have another key, if that is to be reported.
	paused     bool
	wrongKeys  int
	outlived   bool // it hung until the service worked again
	prev, next *attempt
}

// detached is the number of deliveries of an attempt that is in no breaker's list.
const detached = -1

// change is what a breaker did.
type change uint8

const (
	unchanged change = iota
	opened
	closed
)

// look opens the breaker if the attempts under way, or the verdicts, say so.
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

// begin takes an attempt in.
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

// heeds reports whether a failure of an attempt is the host's, and not only its device's.
func (b *breaker) heeds(a *attempt) bool { return !b.chosen || !b.known || a.proven }

// hung is how many attempts count as failures though they have not ended.
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

// end takes an attempt out, and counts its verdict.
func (b *breaker) end(a *attempt, k rejected.Key, o providers.Outcome, now time.Time) change {
	late := a.deliveries != b.deliveries // something was delivered since it began
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
	case !b.heeds(a) && !answered(o):
	case isFault(o), b.chosen && !b.known && refuses(o):
		if late && o.Cause == providers.CauseNetwork && now.Sub(a.began) >= slowAfter {
			a.outlived = true // it hung when others did, and the service works by now
			return unchanged
		}
		b.fail(k, o, now)
		b.refusing = b.refusing && o.Cause != providers.CauseNetwork
		return b.look(now)
	case answered(o):
		b.verdicts.at(now).good++
		if a.trial && o.Kind != providers.KindSuspected { // which a proxy in front of a dead service says as well
			return b.close()
		}
	}
	return unchanged
}

// remove takes an attempt out of the list, if it is still there.
func (b *breaker) remove(a *attempt) {
	if a.deliveries != b.deliveries {
		return // the list is a new one since
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

// delivered forgets what only counts as long as nothing is delivered.
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
	b.delivered() // or those that hang would open it again at once
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

// state is the breaker in a word.
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

// The states of a breaker, as operators read them.
const (
	breakerClosed   = "closed"
	breakerOpen     = "open"
	breakerHalfOpen = "half-open"
)

// isFault reports whether an outcome means that the push service is out of order. A dead pushkey, one that has to wait, a push that it
// does not like, credentials that it refuses, and a bound of the gateway's do not.
func isFault(o providers.Outcome) bool {
	return o.Kind == providers.KindRetry && (o.Cause == providers.CauseService || o.Cause == providers.CauseNetwork)
}

// answered reports whether an outcome shows that the push service was reached and works, though it delivered nothing.
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

// turnedAway is the outcome of a push that the breaker kept off.
func turnedAway() providers.Outcome {
	o := providers.Busy("breaker_open", nil)
	o.RetryAfter = breakerPause
	return o
}

// window counts the verdicts of the last breakerWindow, by when they came.
type window [breakerWindow / bucketTime]counts

// bucketTime is how exact a window is.
const bucketTime = 5 * time.Second

// counts are the verdicts of a while.
type counts struct {
	while int64 // since 1970, in units of bucketTime
	// good are verdicts that are no failures, delivered among them in a sum; unreached and broken are failures with and without an answer.
	good, delivered, unreached, broken int
}

// at is where to count a verdict that comes now.
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
