package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// attemptTimeout bounds one attempt, with the wait for its turn: longer than any homeserver's patience, short enough that a stuck one
	// holds no slot for long.
	attemptTimeout = 30 * time.Second
	// strangerTimeout bounds an attempt at a host that nothing is known of. It is longer than it takes the breaker to notice one that hangs.
	strangerTimeout = 15 * time.Second
)

// MaxFlight is how long a process that ends without a grace period waits for what is under way: an attempt, and stores that take their time
// to write down what follows from it. What takes longer is in the outbox, or is sent again.
const MaxFlight = attemptTimeout + 2*outbox.WriteTime

// attempt makes one attempt to deliver a push, within the app's bounds, unless where it goes is known to be down, and lands with what comes
// of it: on this goroutine, or on another one if the provider's Push does not return.
func (g *Gateway) attempt(f *flight) {
	f.app.hosts.flying.Add(1)
	f.standing = g.standing(&f.cargo)
	admitted := f.app.hosts.admit(f.host, applicant{f.queue, f.standing, f.leased, g.trialPatience(f)}, g.Now())
	g.breakerChanged(f.app, f.host, admitted.change)
	if admitted.turnedAway {
		f.turnedAway = true
		if f.paused = admitted.paused > 0; f.paused {
			g.arrive(f, hostPaused(admitted.paused))
		} else {
			g.arrive(f, turnedAway())
		}
		return
	}
	f.time, f.cancel = context.WithTimeout(context.Background(), attemptTimeout)
	if f.attempt.trial = admitted.trial; !admitted.trial || f.standing == outbox.Stranger { // a trial is not held up by those that hang
		slot, err := f.turn()
		if err != nil {
			g.arrive(f, providers.Busy("app_busy", err))
			return
		}
		f.slot = slot
	}
	f.app.hosts.begin(&f.attempt, f.host, f.key, f.standing, g.Now())
	f.app.call(f.strangersTime(), f.push, f.ended)
}

// ended lands with what the provider's outcome amounts to.
func (f *flight) ended(o providers.Outcome) {
	g := f.gateway
	o = g.orNowhere(f, o)
	now := g.Now()
	if f.time.Err() != nil && now.Sub(f.attempt.began) < slowAfter && isFault(o) {
		o = providers.Busy("app_busy", o.Err) // it had waited for its turn until there was no time left
	}
	v := verdict{f.key, o, f.app.load, f.ownSite(), f.standing, g.Shared.hasProven(f.app.Pattern)}
	f.change = f.app.hosts.end(&f.attempt, v, now)
	g.breakerChanged(f.app, f.host, f.change)
	if f.attempt.paused {
		g.Observer.HostPaused(f.app, f.host)
	}
	g.arrive(f, g.limitTries(f, f.giveUp(o, f.standing)))
}

// arrive gives back what the attempt had, and lands.
func (g *Gateway) arrive(f *flight, o providers.Outcome) {
	f.slot.Release()
	if f.cancel != nil {
		f.cancel()
	}
	f.app.hosts.flying.Add(-1)
	g.attempted(f, o)
}

// turn waits for the flight's turn.
func (f *flight) turn() (limit.Slot, error) {
	party := limit.Party{Host: f.host, Group: f.group, Stranger: f.standing == outbox.Stranger, First: f.standing == outbox.Proven}
	return f.app.Limit.Acquire(f.time, party)
}

// strangersTime is the attempt's time, which is less for a stranger.
func (f *flight) strangersTime() context.Context {
	if f.standing != outbox.Stranger {
		return f.time
	}
	less, cancel := context.WithTimeout(f.time, strangerTimeout)
	all := f.cancel
	f.cancel = func() {
		cancel()
		all()
	}
	return less
}

// maxRefusals is how often in a row a push is refused before it is given up, where the device was never delivered to: anybody can name a
// server that refuses everything, and have it asked in the gateway's name.
const maxRefusals = 10

// giveUp drops a push of a device that was never delivered to if what it named has refused it too often.
func (f *flight) giveUp(o providers.Outcome, s outbox.Standing) providers.Outcome {
	if !f.unproven(s) || f.tries+1 < maxRefusals || !refuses(o) {
		return o
	}
	return providers.Dropped("given_up",
		fmt.Errorf("%d attempts failed, the last one with %s, and nothing was ever delivered to the device", f.tries+1, o.Reason))
}

// unproven reports whether the gateway owes nothing to a device: it chose where its pushes go, and never took one.
func (c *cargo) unproven(s outbox.Standing) bool {
	return c.host != "" && s != outbox.Proven && !c.ownSite()
}

// refuses reports whether an outcome is the answer of a server that does not take the push, now or at all.
func refuses(o providers.Outcome) bool {
	switch o.Kind {
	case providers.KindMisconfigured:
		return true
	case providers.KindRetry:
		return o.Cause == providers.CauseDevice || o.Cause == providers.CauseService
	default:
		return false
	}
}

// trialPatience is how much longer than a pending push a request's waits to be a trial: it is for pending ones, since a request would have
// to wait for it, unless there is none to be had.
func (g *Gateway) trialPatience(f *flight) time.Duration {
	if f.leased || g.box.queue == nil {
		return 0
	}
	return breakerPause
}

// breakerChanged reports that a breaker opened or closed.
func (g *Gateway) breakerChanged(app *App, host string, c change) {
	switch c {
	case opened:
		g.Observer.BreakerOpened(app, host)
	case closed:
		g.Observer.BreakerClosed(app, host)
	}
}
