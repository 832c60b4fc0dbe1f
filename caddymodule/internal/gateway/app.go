package gateway

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// App is one configured app: a pattern of app_ids, the provider that serves them, and the policy for them.
type App struct {
	// Pattern is as configured: what logs and metrics call the app.
	Pattern string
	// ProviderName is the provider's module name, such as "webpush".
	ProviderName string
	// Provider is called by the methods in guest.go only.
	Provider providers.Provider
	// Panicked is called for the first panic of the provider.
	Panicked func(*App, Panic)
	// Wait is how long a request waits for a verdict.
	Wait time.Duration
	// TTL is how long a notification is worth delivering.
	TTL     time.Duration
	Content providers.Content
	// Badges is which counts are delivered: the provider's default has been asked for.
	Badges providers.Badges
	// Limit bounds the pushes in flight.
	Limit *limit.Fair

	// hosts and fuse are those of all configurations that have the app, and load is the number of this one: New sets them.
	hosts *hosts
	fuse  *fuse
	load  int64

	// proven says that the provider took a push with the app's current settings.
	proven   atomic.Bool
	panicked atomic.Bool
	// overdue counts the calls of Push that go on although their time is over.
	overdue atomic.Int64
	// movedUntil is until when an earlier version's queues are looked for, in nanoseconds of Unix time.
	movedUntil atomic.Int64
}

// workers is how many of the app's pushes may come from the outbox at a time; the others are left for new ones.
func (a *App) workers() int64 { return max(1, int64(a.Limit.Size()/2)) }

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

// attempt makes one attempt to deliver a push, within the app's bounds, unless where it goes is known to be down.
func (g *Gateway) attempt(f *flight) providers.Outcome {
	f.app.hosts.flying.Add(1)
	defer f.app.hosts.flying.Add(-1)
	standing := g.standing(&f.cargo)
	admitted := f.app.hosts.admit(f.host, applicant{f.queue, standing, f.leased, g.trialPatience(f)}, g.Now())
	g.breakerChanged(f.app, f.host, admitted.change)
	if admitted.turnedAway {
		f.turnedAway = true
		if f.paused = admitted.paused > 0; f.paused {
			return hostPaused(admitted.paused)
		}
		return turnedAway()
	}
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	if f.attempt.trial = admitted.trial; !admitted.trial || standing == outbox.Stranger { // a trial is not held up by those that hang
		slot, err := f.slot(ctx, standing)
		if err != nil {
			return providers.Busy("app_busy", err)
		}
		defer slot.Release()
	}
	f.app.hosts.begin(&f.attempt, f.host, f.key, standing, g.Now())
	o := g.orNowhere(f, f.deliver(ctx, standing))
	now := g.Now()
	if ctx.Err() != nil && now.Sub(f.attempt.began) < slowAfter && isFault(o) {
		o = providers.Busy("app_busy", o.Err) // it had waited for its turn until there was no time left
	}
	v := verdict{f.key, o, f.app.load, f.ownSite(), standing, g.Shared.hasProven(f.app.Pattern)}
	f.change = f.app.hosts.end(&f.attempt, v, now)
	g.breakerChanged(f.app, f.host, f.change)
	if f.attempt.paused {
		g.Observer.HostPaused(f.app, f.host)
	}
	return g.limitTries(f, f.giveUp(o, standing))
}

// slot waits for the flight's turn.
func (f *flight) slot(ctx context.Context, s outbox.Standing) (limit.Slot, error) {
	return f.app.Limit.Acquire(ctx, limit.Party{Host: f.host, Group: f.group, Stranger: s == outbox.Stranger, First: s == outbox.Proven})
}

// deliver has the provider make the attempt.
func (f *flight) deliver(ctx context.Context, s outbox.Standing) providers.Outcome {
	if s == outbox.Stranger {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, strangerTimeout)
		defer cancel()
	}
	return f.app.Push(ctx, f.push)
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
