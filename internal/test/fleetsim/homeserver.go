package fleetsim

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
)

const (
	// answerTime is how long a homeserver waits for an answer.
	answerTime = 15 * time.Second
	// firstRetry is the pause after the first request that got no answer or no 200. It doubles up to maxRetry.
	firstRetry = time.Second
	maxRetry   = time.Minute
	// retryAfter is what the gateway asks for with 503.
	retryAfter = 5 * time.Second
	// checkTime is how long the load balancer sends requests to a gateway that has died.
	checkTime = 5 * time.Second
	// lostAnswers is one of how many answers does not reach the homeserver.
	lostAnswers = 500
)

// pusher is a homeserver's pusher for a device.
type pusher struct {
	app appID
	// parallel means that its homeserver sends each event at once. Others send the next one when the last one was answered with 200.
	parallel bool
	events   []eventID
}

// traffic sends events, until the time is over.
func (f *Fleet) traffic() {
	pause := f.o.Time / time.Duration(f.o.Pushes)
	var next func()
	next = func() {
		if f.made == f.o.Pushes {
			return
		}
		f.clock.after(f.upTo(2*pause), next)
		d := f.pick()
		if f.dead[d] {
			return // its homeserver has removed the pusher
		}
		f.made++
		e := f.event(d)
		f.open[d]++
		f.left++
		p := &f.pushers[d]
		switch {
		case p.parallel:
			f.send(d, e, 0)
		case len(p.events) > 0:
			p.events = append(p.events, e)
		default:
			p.events = append(p.events, e)
			f.send(d, e, 0)
		}
	}
	next()
}

func (f *Fleet) event(d device) eventID {
	f.sent, f.arrived, f.of = append(f.sent, f.clock.now), append(f.arrived, 0), append(f.of, d)
	return eventID(len(f.sent) - 1)
}

// send sends an event to a gateway, again and again until it is answered with 200.
func (f *Fleet) send(d device, e eventID, failures int) {
	r := checker.Request{Sent: f.time(f.clock.now), Event: name(e), Devices: []checker.Device{{Name: f.names[d]}}}
	answered := false
	answer := func(status int, v verdict) {
		if answered {
			return
		}
		answered = true
		if r.Status = status; status != 0 {
			r.Answered = f.time(f.clock.now)
		}
		if v == rejectedNow {
			r.Rejected = []string{f.names[d]}
			f.buried(d)
		}
		f.requests = append(f.requests, r)
		f.answered(d, e, status, failures)
	}
	g := f.gateway()
	if g == nil || !g.alive {
		f.clock.after(hop, func() { answer(0, unavailable) })
		return
	}
	lost := f.random.IntN(lostAnswers) == 0
	f.notify(g, entry{event: e, app: f.pushers[d].app, device: d}, func(v verdict) {
		switch {
		case lost:
		case v == unavailable:
			answer(503, v)
		default:
			answer(200, v)
		}
	})
	f.clock.after(answerTime, func() { answer(0, unavailable) })
}

// answered goes on after an answer.
func (f *Fleet) answered(d device, e eventID, status, failures int) {
	p := &f.pushers[d]
	if status != 200 {
		after := min(firstRetry<<min(failures, 10), maxRetry)
		if status == 503 {
			after = max(after, retryAfter)
		}
		f.clock.after(after, func() { f.send(d, e, failures+1) })
		return
	}
	if p.parallel {
		return
	}
	p.events = p.events[1:]
	if f.dead[d] {
		p.events = nil // the homeserver removes the pusher
	}
	if len(p.events) > 0 {
		f.send(d, p.events[0], 0)
	}
}

// gateway returns one that the load balancer believes to work.
func (f *Fleet) gateway() *gateway {
	for range 100 {
		if g := f.gateways[f.random.IntN(len(f.gateways))]; g.alive || f.clock.now < g.died+checkTime {
			return g
		}
	}
	return nil
}

// hostile sends a stranger's push, to an app where devices choose the host. Nobody judges what becomes of it.
func (f *Fleet) hostile() {
	d := device(f.o.Devices + f.random.IntN(strangers))
	e := f.event(d)
	if g := f.gateway(); g != nil && g.alive {
		f.notify(g, entry{event: e, app: strangersApp, device: d, stranger: true}, func(verdict) {})
	}
}

// strangersApp is the app that strangers send to.
const strangersApp appID = 1
