package fleetsim

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
)

const (
	// wait is how long a request waits for a verdict, and storeWait how much longer it waits for the outbox.
	wait      = 5 * time.Second
	storeWait = 900 * time.Millisecond
	// slots is how many attempts an app may have under way. Half of them are for pending pushes.
	slots   = 64
	workers = slots / 2
)

// gateway is a gateway's process.
type gateway struct {
	n, life int
	alive   bool
	died    time.Duration
	flights map[eventID]*flight
	done    map[eventID]bool // delivered or accepted
	doubts  map[pushID]bool
	// running counts the attempts under way, and working the workers that are busy, by app.
	running, working map[appID]int
	// failures counts the attempts in a row that failed, by app.
	failures map[appID]int
	// stuck is the shard whose answer the workers wait for, with the flaw OneByOne.
	stuck *shard
	// asking has the calls to lease that are under way, and silent the shards that did not answer the last one.
	asking map[asking]bool
	silent map[int]bool
}

// start starts the process, which has forgotten everything.
func (f *Fleet) start(g *gateway) {
	*g = gateway{
		n: g.n, life: g.life + 1, alive: true, flights: make(map[eventID]*flight), done: make(map[eventID]bool),
		doubts: make(map[pushID]bool), running: make(map[appID]int), working: make(map[appID]int),
		failures: make(map[appID]int), asking: make(map[asking]bool), silent: make(map[int]bool),
	}
	f.lookEvery(g)
}

// kill ends the process at once.
func (f *Fleet) kill(g *gateway) {
	g.alive, g.died = false, f.clock.now
	g.life++ // whatever it waits for does not happen
	f.kills = append(f.kills, checker.Kill{Time: f.time(f.clock.now)})
}

func (g *gateway) owner() owner { return owner{g.n + 1, g.life} }

// verdict is a gateway's answer for a request.
type verdict uint8

const (
	ok verdict = iota
	rejectedNow
	unavailable
)

// notify answers a homeserver's request.
func (f *Fleet) notify(g *gateway, e entry, answer func(verdict)) {
	switch {
	case f.dead[e.device]:
		answer(rejectedNow)
		return
	case g.done[e.event]:
		answer(ok)
		return
	}
	request := &request{answer: answer}
	fl := g.flights[e.event]
	if fl == nil {
		f.pushIDs++
		e.id = f.pushIDs
		fl = &flight{f: f, g: g, entry: e}
		g.flights[e.event] = fl
		fl.requests = append(fl.requests, request)
		fl.clear()
	} else if fl.landed {
		request.is(fl.verdict)
		return
	} else {
		fl.requests = append(fl.requests, request)
	}
	life := g.life
	f.clock.after(wait, func() {
		if g.life == life && !request.answered {
			fl.handOver()
		}
	})
	f.clock.after(wait+storeWait, func() {
		if g.life == life {
			request.is(unavailable)
		}
	})
}

// request is a request that waits for a flight.
type request struct {
	answer   func(verdict)
	answered bool
}

func (r *request) is(v verdict) {
	if !r.answered {
		r.answered = true
		r.answer(v)
	}
}
