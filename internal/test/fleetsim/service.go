package fleetsim

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
)

// outcome is how an attempt ended.
type outcome uint8

const (
	delivered outcome = iota
	failed
	dead
	busy // a bound of the gateway; there was no attempt
)

// condition is how an app's push service is.
type condition uint8

const (
	up condition = iota
	slow
	down
)

const (
	// slowAnswer is longer than requests wait.
	slowAnswer = 8 * time.Second
	// answerWay is the time from a service to a gateway.
	answerWay = 10 * time.Millisecond
	// connectTime is how long an attempt at a service takes that is down.
	connectTime = 200 * time.Millisecond
)

// push sends a push to its app's push service. The service takes it just before it answers, unless the gateway has died by then: that
// closes the connection.
func (f *Fleet) push(g *gateway, e *entry, done func(outcome)) {
	takes := 20*time.Millisecond + f.upTo(60*time.Millisecond)
	switch f.conditions[e.app] {
	case slow:
		takes = slowAnswer + f.upTo(time.Second)
	case down:
		takes = connectTime
	case up:
	}
	f.wakeUp(g, takes-answerWay, func() {
		o := f.served(e)
		f.wakeUp(g, answerWay, func() { done(o) })
	})
}

// served is what the push service does with a push.
func (f *Fleet) served(e *entry) outcome {
	if e.stranger {
		return failed // its host never answers
	}
	o := delivered
	switch {
	case f.conditions[e.app] == down:
		o = failed
	case f.dies[e.device] != 0 && f.clock.now >= f.dies[e.device]:
		o = dead
	}
	f.pushes = append(f.pushes, checker.Push{
		Time: f.time(f.clock.now), Device: f.names[e.device], Event: name(e.event), Taken: o == delivered, Dead: o == dead,
	})
	if o == delivered {
		f.took(e)
	}
	return o
}
