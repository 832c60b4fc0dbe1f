package gateway

import (
	"context"
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
	Badges  bool
	// Limit bounds the pushes in flight.
	Limit *limit.Limiter

	// hosts and fuse are those of all configurations that have the app, and load is the number of this one: New sets them.
	hosts *hosts
	fuse  *fuse
	load  int64

	// proven says that the provider took a push with the app's current settings.
	proven   atomic.Bool
	panicked atomic.Bool
}

// workers is how many of the app's pushes may come from the outbox at a time; the others are left for new ones.
func (a *App) workers() int64 { return max(1, int64(a.Limit.Size()/2)) }

// attemptTimeout bounds one attempt: longer than any homeserver's patience, short enough that a stuck one holds no slot for long.
const attemptTimeout = 30 * time.Second

// MaxFlight is how long a process that ends without a grace period waits for what is under way: an attempt, and stores that take their time
// to write down what follows from it. What takes longer is in the outbox, or is sent again.
const MaxFlight = attemptTimeout + 2*outbox.WriteTime

// attempt makes one attempt to deliver a push, within the app's bounds, unless where it goes is known to be down.
func (g *Gateway) attempt(f *flight) providers.Outcome {
	f.app.hosts.flying.Add(1)
	defer f.app.hosts.flying.Add(-1)
	admitted := f.app.hosts.admit(f.host, g.trialPatience(f), g.Now())
	g.breakerChanged(f.app, f.host, admitted.change)
	if admitted.turnedAway {
		f.turnedAway = true
		return turnedAway()
	}
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	if f.attempt.trial = admitted.trial; !admitted.trial { // a trial is not held up by those that hang
		if err := f.app.Limit.Acquire(ctx); err != nil {
			return providers.Busy("app_busy", err)
		}
		defer f.app.Limit.Release()
	}
	f.app.hosts.begin(&f.attempt, f.host, f.key, g.Now())
	o := f.app.Push(ctx, f.push)
	now := g.Now()
	if ctx.Err() != nil && now.Sub(f.attempt.began) < slowAfter && isFault(o) {
		o = providers.Busy("app_busy", o.Err) // it had waited for its turn until there was no time left
	}
	f.change = f.app.hosts.end(&f.attempt, verdict{f.key, o, f.app.load, f.ownSite()}, now)
	g.breakerChanged(f.app, f.host, f.change)
	return o
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
