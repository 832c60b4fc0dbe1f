package fleetsim

import (
	"errors"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const (
	firstBackoff = 2 * time.Second
	maxBackoff   = 5 * time.Minute
	doubtPause   = time.Second
	noteDelay    = 100 * time.Millisecond
	// giveUp is how often a stranger's push is tried.
	giveUp = 10
)

// flight is a push on its way.
type flight struct {
	f     *Fleet
	g     *gateway
	entry entry
	// leased means that it came from the outbox, after so many tries.
	leased bool
	tries  int

	flying, landed bool
	verdict        verdict
	requests       []*request
	overdue        bool // a request's wait ended before the attempt began
	// handing is what is known of handing it to the outbox while its attempt is under way. ended goes on when that is known.
	handing effect
	ended   func()
}

// effect is the effect of handing a push over.
type effect uint8

const (
	untried effect = iota
	asked
	kept
	refused
	unsure
)

var errFull = errors.New("the shard has no room")

func (fl *flight) call(c change, confirm func() bool, done func(error)) {
	fl.f.call(fl.g, fl.f.shardOf(fl.entry.device), c, confirm, done)
}

// clear asks whether the flight may start.
func (fl *flight) clear() {
	e, by := fl.entry, fl.g.owner()
	var claim outbox.Claim
	claims := change{do: func(s *state, now time.Duration) { claim = s.claim(now, e.event, by) }}
	fl.call(claims, func() bool { return claim == outbox.Done && fl.f.confirms(duplicates) }, func(err error) {
		switch {
		case err != nil || claim == outbox.Claimed: // better twice than not at all
			fl.ask()
		case claim == outbox.Done:
			fl.g.done[e.event] = true
			fl.finish(ok)
		default:
			fl.finish(unavailable)
		}
	})
}

// ask asks whether the device has pending pushes.
func (fl *flight) ask() {
	var behind bool
	asks := change{reads: true, do: func(s *state, _ time.Duration) { behind = s.waiting(fl.entry.app, fl.entry.device) }}
	fl.call(asks, nil, func(err error) {
		if err == nil && behind {
			fl.keep(0)
			return
		}
		fl.fly()
	})
}

// fly makes the attempt.
func (fl *flight) fly() {
	fl.flying = true
	if fl.overdue {
		fl.handOver()
	}
	app := fl.entry.app
	if fl.g.running[app] >= slots {
		fl.land(busy)
		return
	}
	fl.g.running[app]++
	fl.f.push(fl.g, &fl.entry, func(o outcome) {
		fl.g.running[app]--
		fl.f.judgeService(fl.g, app, o)
		fl.land(o)
	})
}

// handOver gives the push of a running attempt to the outbox, because a request's wait is over.
func (fl *flight) handOver() {
	fl.overdue = true
	if !fl.flying || fl.landed || fl.handing != untried || fl.leased || fl.ended != nil {
		return
	}
	fl.handing = asked
	if fl.f.o.Flaw == AnswerFirst {
		fl.answer(ok)
	}
	fl.accept(true, 0, func(err error) {
		fl.handing = effectOf(err)
		if fl.handing == kept {
			fl.g.done[fl.entry.event] = true
			fl.answer(ok)
		} else {
			fl.answer(unavailable)
		}
		if fl.ended != nil {
			fl.ended()
		}
	})
}

func effectOf(err error) effect {
	switch {
	case err == nil:
		return kept
	case errors.Is(err, errUnsure):
		return unsure
	default:
		return refused
	}
}

// accept gives the push to the outbox.
func (fl *flight) accept(running bool, delay time.Duration, done func(error)) {
	e, by, b := fl.entry, fl.g.owner(), fl.f.bounds()
	var got answer
	call := change{accepts: e.event, do: func(s *state, now time.Duration) { got = s.accept(now, e, by, running, delay, b) }}
	fl.call(call, func() bool { return fl.f.confirms(accepts) }, func(err error) {
		if err == nil && got != accepted {
			if got == full {
				fl.f.figures.Refused++
			}
			err = errFull
		}
		done(err)
	})
}

// land decides what follows from an outcome, once it is known whether the outbox has the push.
func (fl *flight) land(o outcome) {
	if fl.handing == asked {
		fl.ended = func() { fl.decide(o) }
		return
	}
	fl.decide(o)
}

func (fl *flight) decide(o outcome) {
	has := fl.leased || fl.handing == kept || fl.handing == unsure
	if fl.entry.stranger && fl.tries >= giveUp {
		fl.settle(func() { fl.finish(ok) })
		return
	}
	switch o {
	case delivered:
		fl.remember()
		if !has {
			fl.finish(ok)
			return
		}
		fl.settle(func() { fl.finish(ok) })
	case dead:
		fl.f.buried(fl.entry.device)
		app, d := fl.entry.app, fl.entry.device
		fl.call(change{do: func(s *state, _ time.Duration) { s.discard(app, d) }}, nil, func(error) {})
		fl.settle(func() { fl.finish(rejectedNow) })
	case failed, busy:
		switch {
		case fl.leased, fl.handing == kept:
			fl.release(fl.backoff(), true)
			fl.finish(ok)
		case fl.handing == unsure:
			fl.doubt()
		default:
			fl.keep(fl.backoff())
		}
	}
}

// keep gives a push without a verdict to the outbox, and the outbox's answer decides that of the requests.
func (fl *flight) keep(delay time.Duration) {
	if fl.f.o.Flaw == AnswerFirst {
		fl.answer(ok)
	}
	fl.accept(false, delay, func(err error) {
		switch effectOf(err) {
		case kept:
			fl.g.done[fl.entry.event] = true
			fl.finish(ok)
		case unsure:
			fl.doubt()
		default:
			e, by := fl.entry.event, fl.g.owner()
			fl.call(change{do: func(s *state, _ time.Duration) { s.unclaim(e, by) }}, nil, func(error) {})
			fl.finish(unavailable)
		}
	})
}

// doubt repeats the call until the outbox answers. Until then, the event stays with this flight.
func (fl *flight) doubt() {
	if !fl.landed {
		fl.landed, fl.verdict = true, unavailable
		fl.answer(unavailable)
		fl.g.doubts[fl.entry.id] = true
	}
	fl.f.wakeUp(fl.g, doubtPause, func() {
		fl.accept(false, 0, func(err error) {
			if err != nil { // the first call may still be on its way, so a refusal proves nothing
				fl.doubt()
				return
			}
			fl.g.done[fl.entry.event] = true
			delete(fl.g.doubts, fl.entry.id)
			fl.leave()
		})
	})
}

// settle removes the push from the outbox, and repeats that until the outbox answers. then goes on after the first call.
func (fl *flight) settle(then func()) {
	e, by := fl.entry, fl.g.owner()
	fl.call(change{do: func(s *state, now time.Duration) { s.settle(now, &e, by) }}, nil, func(err error) {
		if then != nil {
			then()
		}
		if err == nil {
			delete(fl.g.doubts, e.id)
			fl.f.lookAt(fl.g, fl.f.shardOf(e.device), e.app)
			return
		}
		fl.g.doubts[e.id] = true
		fl.f.wakeUp(fl.g, doubtPause, func() { fl.settle(nil) })
	})
}

func (fl *flight) release(delay time.Duration, tried bool) {
	e, by := fl.entry, fl.g.owner()
	fl.call(change{do: func(s *state, now time.Duration) { s.release(&e, by, now+delay, tried) }}, nil, func(error) {})
}

// backoff returns when to try again: after a random time that grows with each try.
func (fl *flight) backoff() time.Duration {
	return fl.f.upTo(min(firstBackoff<<min(fl.tries, 16), maxBackoff))
}

// remember notes that the event was delivered. Notes are written together.
func (fl *flight) remember() {
	fl.g.done[fl.entry.event] = true
	fl.f.note(fl.g, fl.entry.event, fl.f.shardOf(fl.entry.device), noteDelay)
}

func (f *Fleet) note(g *gateway, e eventID, s *shard, delay time.Duration) {
	f.wakeUp(g, delay, func() {
		f.call(g, s, change{do: func(s *state, _ time.Duration) { s.noteDone(e) }}, nil, func(err error) {
			if err != nil {
				f.note(g, e, s, doubtPause)
			}
		})
	})
}

// finish ends the flight.
func (fl *flight) finish(v verdict) {
	fl.landed, fl.verdict = true, v
	fl.leave()
	fl.answer(v)
}

func (fl *flight) leave() {
	if fl.leased {
		fl.g.working[fl.entry.app]--
	} else if fl.g.flights[fl.entry.event] == fl {
		delete(fl.g.flights, fl.entry.event)
	}
}

func (fl *flight) answer(v verdict) {
	for _, r := range fl.requests {
		r.is(v)
	}
}
