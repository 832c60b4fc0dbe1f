package fleetsim

import (
	"errors"
	"time"
)

const (
	// callTime is how long a gateway waits for a shard's answer.
	callTime = time.Second
	// hop is the time from a gateway to a shard, and the same back.
	hop = 300 * time.Microsecond
)

var (
	errRefused = errors.New("the shard refused the connection")
	errUnsure  = errors.New("the shard did not answer")
)

// reach reports whether there is a network between a gateway and a shard.
func (f *Fleet) reach(g *gateway, s *shard) bool { return !f.cut[link{g.n, s.n}] }

type link struct{ gateway, shard int }

// call makes a change at a shard. Then it calls done, once, unless the gateway has died. On errRefused, there was no change; on errUnsure,
// there may have been one. confirm reports whether the answer waits until the replica has what it is based on; nil means that it does not.
func (f *Fleet) call(g *gateway, s *shard, c change, confirm func() bool, done func(error)) {
	life, sent := g.life, f.clock.now
	answer := func(at time.Duration, err error) {
		f.clock.at(at, func() {
			if g.life == life {
				done(err)
			}
		})
	}
	if s.down {
		answer(sent+2*hop, errRefused)
		return
	}
	era := s.era
	f.clock.after(hop, func() {
		start := max(f.clock.now, s.busy)
		late := start+s.cost > sent+callTime
		if s.era != era || s.down || !f.reach(g, s) {
			answer(sent+callTime, errUnsure)
			return
		}
		s.busy, s.work = start+s.cost, s.work+s.cost
		f.clock.at(s.busy, func() {
			if s.era != era {
				answer(sent+callTime, errUnsure)
				return
			}
			ready, confirmed := f.clock.now, s.run(f.clock.now, c)
			if confirm != nil && confirm() {
				ready = confirmed
			}
			f.reply(g, s, era, max(ready+hop, f.clock.now), sent+callTime, late, answer)
		})
	})
}

// reply brings an answer to the gateway, unless it is late or the network is cut meanwhile.
func (f *Fleet) reply(g *gateway, s *shard, era int, at, deadline time.Duration, late bool, answer func(time.Duration, error)) {
	if late || at > deadline {
		answer(deadline, errUnsure)
		return
	}
	f.clock.at(at, func() {
		if s.era != era || !f.reach(g, s) {
			answer(deadline, errUnsure)
			return
		}
		answer(f.clock.now, nil)
	})
}
