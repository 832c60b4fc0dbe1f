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
	// attemptTimeout bounds one attempt, including the wait for its turn. It is longer than any homeserver waits, and short enough that
	// an attempt that hangs does not hold its slot for long.
	attemptTimeout = 30 * time.Second
	// strangerTimeout bounds an attempt at an unknown host. It is longer than the breaker needs to notice a host that hangs.
	strangerTimeout = 15 * time.Second
)

// MaxFlight is how long a process that ends without a grace period waits for attempts under way. It is enough for one attempt, and for
// the stores to write down its result. A push that takes longer is in the outbox, or the homeserver sends it again.
const MaxFlight = attemptTimeout + 2*outbox.WriteTime

// attempt makes one attempt to deliver a push, within the app's limits, unless the host is known to be down. The flight lands with the
// outcome: on this goroutine, or on another one if the provider's Push does not return.
func (g *Gateway) attempt(f *flight) {
	f.app.hosts.flying.Add(1)
	f.standing = g.standing(&f.cargo)
	admitted := f.app.hosts.admit(f.host, applicant{f.queue, f.standing, f.leased, g.trialPatience(f)}, f.start)
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
	if f.attempt.trial = admitted.trial; !admitted.trial || f.standing == outbox.Stranger { // a trial does not queue behind attempts that hang
		slot, err := f.turn()
		if err != nil {
			g.arrive(f, providers.Busy("app_busy", err))
			return
		}
		f.slot = slot
	}
	f.app.hosts.begin(&f.attempt, f.host, f.key, f.standing, g.Now())
	f.app.call(f.strangersTime(), &f.push, f.ended)
}

// ended is called with the provider's outcome. It reports the outcome to the host's breaker, and lands.
func (f *flight) ended(o providers.Outcome) {
	g := f.gateway
	o = g.orNowhere(f, o)
	now := g.Now()
	if f.time.Err() != nil && now.Sub(f.attempt.began) < slowAfter && isFault(o) {
		o = providers.Busy("app_busy", o.Err) // it waited so long for its turn that too little time was left
	}
	v := verdict{f.key, o, f.app.load, f.ownSite(), f.standing, g.Shared.hasProven(f.app), f.accepted, g.box.queue != nil}
	f.change = f.app.hosts.end(&f.attempt, v, now)
	g.breakerChanged(f.app, f.host, f.change)
	g.healthChanged(f.app, f.attempt.health)
	if f.attempt.paused {
		g.Observer.HostPaused(f.app, f.host)
	}
	g.arrive(f, g.limitTries(f, f.giveUp(o, f.standing)))
}

// arrive releases what the attempt held, and lands with its outcome.
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

// strangersTime returns the context of the attempt. A stranger's has an earlier deadline.
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

// maxRefusals is how many refusals in a row a push gets before it is given up, if its device was never delivered to. Anybody can name a
// server that refuses everything, and make the gateway send requests to it.
const maxRefusals = 10

// giveUp drops a push that was refused too often, if its device was never delivered to.
func (f *flight) giveUp(o providers.Outcome, s outbox.Standing) providers.Outcome {
	if !f.unproven(s) || f.tries+1 < maxRefusals || !refuses(o) {
		return o
	}
	return providers.Dropped("given_up",
		fmt.Errorf("%d attempts failed, the last one with %s, and nothing was ever delivered to the device", f.tries+1, o.Reason))
}

// unproven reports whether the gateway owes nothing to a device, because the device chose its push server and was never delivered to.
func (c *cargo) unproven(s outbox.Standing) bool {
	return c.host != "" && s != outbox.Proven && !c.ownSite()
}

// refuses reports whether an outcome is the answer of a server that refuses the push, now or for good.
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

// trialPatience returns how much longer than a pending push a request's push waits before it may be a trial. Pending pushes come first,
// because a request would have to wait for the trial. A request's push has its turn if nothing is pending.
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
