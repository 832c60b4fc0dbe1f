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
	// Pattern is the pattern as configured. Logs and metrics call the app by it.
	Pattern string
	// ProviderName is the provider's module name, such as "webpush".
	ProviderName string
	// Provider is called only by the methods in guest.go.
	Provider providers.Provider
	// Panicked is called for the first panic of the provider.
	Panicked func(*App, Panic)
	// Wait is how long a request waits for a verdict.
	Wait time.Duration
	// TTL is how long a notification is worth delivering.
	TTL     time.Duration
	Content providers.Content
	// Badges says which counts are delivered. The provider's default is already resolved.
	Badges providers.Badges
	// Limit bounds the pushes in flight.
	Limit *limit.Fair

	// hosts and fuse are shared by all configurations that have the app; load is the number of this configuration. New sets them.
	hosts *hosts
	fuse  *fuse
	load  int64

	// proven means that the provider has delivered a push with the app's current settings.
	proven   atomic.Bool
	panicked atomic.Bool
	// movedUntil is how long queues of an earlier version are looked for, in nanoseconds of Unix time.
	movedUntil atomic.Int64
}

// workers returns how many of the app's pushes may come from the outbox at a time. The rest of the limit is left for new pushes.
func (a *App) workers() int64 { return max(1, int64(a.Limit.Size()/2)) }

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

// attempt makes one attempt to deliver a push, within the app's limits, unless the host is known to be down.
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
	if f.attempt.trial = admitted.trial; !admitted.trial || standing == outbox.Stranger { // a trial does not queue behind attempts that hang
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
		o = providers.Busy("app_busy", o.Err) // it waited so long for its turn that too little time was left
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
