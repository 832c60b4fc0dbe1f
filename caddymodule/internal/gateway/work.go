package gateway

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// maxLease is how many devices are leased at once.
	maxLease = 64
	// workPause is how long to wait after the outbox failed.
	workPause = time.Second

	// After the nth failure in a row, a device's next attempt comes after a random time (full jitter). The time is up to firstBackoff
	// doubled n times, but at most maxBackoff.
	firstBackoff = 2 * time.Second
	maxBackoff   = 5 * time.Minute
	// A device that chose its push server and was never delivered to is retried less often: ten attempts take about an hour.
	firstUnproven = 8 * time.Second
	maxUnproven   = 2 * time.Hour
	// parkTime is when a push that the breaker turned away is retried at the latest. Usually the closing of the breaker makes it due,
	// but the gateway that would do so may have died.
	parkTime = 5 * time.Minute
)

// Work delivers pending pushes, separately for each app, until ctx is done. Attempts that have begun by then go on. Several gateways
// may work on one outbox, such as those of the old and the new configuration.
func (g *Gateway) Work(ctx context.Context) {
	if g.box.queue == nil {
		return
	}
	var workers sync.WaitGroup
	for _, app := range g.Router.Apps() {
		workers.Go(func() { g.work(ctx, app) })
		workers.Go(func() { g.offerTrials(ctx, app) })
	}
	workers.Go(func() { g.recallLater(ctx) })
	workers.Go(func() { g.watchHealth(ctx) })
	workers.Wait()
}

// Work reads the outbox again for Recall after recallFirst, and then less and less often. While only a part of the outbox cannot be read, each
// time reads all the others.
const (
	recallFirst = 5 * time.Second
	recallLast  = time.Minute
)

// Recall remembers the events that an earlier process delivered, and the devices that it delivered to. It makes all pending pushes due
// now, because the problem that held them up may have been fixed. If the outbox cannot be read yet, because its Redis is down, Work tries
// again until it can.
func (g *Gateway) Recall(ctx context.Context) {
	for _, app := range g.Router.Apps() {
		app.movedUntil.Store(g.Now().Add(movingTime).UnixNano())
	}
	g.recalled = g.recall(ctx)
	g.box.rouse(g.Router.Apps()...)
}

func (g *Gateway) recall(ctx context.Context) bool {
	err := g.recallEvents(ctx)
	if err == nil {
		err = g.recallProven(ctx)
	}
	if err != nil && ctx.Err() == nil {
		g.box.failed("recalling deliveries", err)
	}
	return err == nil
}

// recallEvents learns which events an earlier process delivered. An outbox with claims is asked about each event anyway.
func (g *Gateway) recallEvents(ctx context.Context) error {
	if g.box.ledger == nil || g.box.claimer != nil || g.Dedupe == 0 {
		return nil
	}
	now := g.Now()
	return g.box.ledger.Recall(ctx, func(event [16]byte) { g.Shared.remember(event, now) })
}

// recallLater completes Recall.
func (g *Gateway) recallLater(ctx context.Context) {
	for wait := recallFirst; !g.recalled && pause(ctx, wait); wait = min(2*wait, recallLast) {
		g.recalled = g.recall(ctx)
	}
}

// Retire makes all pending pushes due now for the configuration that took over, because it may have fixed what held them up. The two
// work side by side for a moment. So this one may have leased a push that the new one was about to try, and failed.
func (g *Gateway) Retire() {
	g.retired.Store(true)
	g.box.rouse(g.Router.Apps()...)
}

// deferred is called after a push was left pending for later. It makes the push due now if the reason has gone in the meantime: other
// settings are in force, the fuse has changed, or the breaker has closed.
func (g *Gateway) deferred(c *cargo) {
	switch {
	case g.retired.Load(), c.app.fuse.changedSince(c.fuse, ""):
		g.box.rouse(c.app)
	case c.app.fuse.changedSince(c.fuse, c.host), c.turnedAway && !c.paused && !c.app.hosts.isOpen(c.host):
		g.box.rouseHost(c.app, c.host, 0)
	}
}

// rousePart makes due the pushes that a part of an app's fuse held: those for a host, or all of them.
func (g *Gateway) rousePart(app *App, host string) {
	if host == "" {
		g.box.rouse(app)
	} else {
		g.box.rouseHost(app, host, 0)
	}
}

func (g *Gateway) work(ctx context.Context, app *App) {
	slots := semaphore.NewWeighted(app.workers())
	for {
		if slots.Acquire(ctx, 1) != nil {
			return
		}
		n := 1
		if g.awaitBreaker(ctx, app) {
			for n < maxLease && slots.TryAcquire(1) {
				n++
			}
		}
		leased, err := g.box.queue.Lease(ctx, app.Pattern, n)
		slots.Release(int64(n - len(leased)))
		for _, entry := range leased {
			g.Shared.began()
			g.Shared.crew.run(&retrial{g, app, entry, slots})
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		g.box.failed("leasing pushes", err)
		pause(ctx, workPause)
	}
}

// awaitBreaker waits while the breaker of an app's only push service is open and no trial is due. It reports whether the app may lease
// more than one push: the breaker would turn the others away again.
func (g *Gateway) awaitBreaker(ctx context.Context, app *App) bool {
	for app.hosts.isOpen("") {
		if app.hosts.trialDue(g.Now()) {
			return false
		}
		if !pause(ctx, trialTick) {
			return false
		}
	}
	return true
}

// retrial is the task to retry a push.
type retrial struct {
	gateway *Gateway
	app     *App
	entry   outbox.Leased
	place   *semaphore.Weighted
}

func (r *retrial) run() { r.gateway.retry(r.app, r.entry, r.place) }

// retry makes an attempt at an entry of the outbox. When the flight ends, its worker's slot is released.
func (g *Gateway) retry(app *App, entry outbox.Leased, place *semaphore.Weighted) {
	f := newFlight(cargo{
		app: app, key: entry.Device, queue: entry.Device, host: entry.Host, group: entry.Group,
		accepted: entry.Accepted, leased: true, tries: entry.Attempts, fuse: app.fuse.now(),
	})
	f.gateway, f.worker, f.start = g, place, g.Now()
	f.known = g.Shared.isProven(f.key)
	if g.Shared.doubts.has(entry.ID) {
		// A call about it is in doubt: the push was delivered or accepted, and the goroutine that repeats the call must find the entry.
		g.box.release(entry.Ref(), g.Now().Add(doubtPause), false)
		g.done(f)
		return
	}
	switch err := json.Unmarshal(entry.Push, &f.push); {
	case err != nil || f.push.Device == nil || f.push.Notification == nil:
		f.push = providers.Push{ID: entry.ID, Device: new(providers.Device)}
		g.attempted(f, providers.Dropped("unreadable", nil)) // an error of encoding/json may quote the push
	case f.push.Notification.Badge && !app.updatesBadges():
		g.attempted(f, providers.Dropped("no_badges", errNoBadges)) // kept before a reload changed the option
	case f.start.Before(entry.Expires):
		f.push.Notification.DecodeBy(lenient.Members)
		if f.key = app.keyOf(f.push.Device); f.key != entry.Device && g.move(app, entry, &f.push, f.key) {
			g.done(f)
			return
		}
		if f.host == "" {
			f.host = app.Host(f.push.Device) // the entry may be from an earlier version
		}
		if f.group == "" {
			f.group = groupOf(f.host)
		}
		f.known = g.Shared.isProven(f.key)
		f.mark = g.markOf(f.key)
		g.attempt(f)
	default:
		g.attempted(f, providers.Dropped("expired", nil))
	}
}

// backoff returns how long the outbox waits before it retries a device.
func (g *Gateway) backoff(d decision, f *flight) time.Duration {
	if d.park {
		return parkTime + g.Jitter(firstBackoff)
	}
	if d.spread {
		return d.notBefore + g.Jitter(pauseSpread)
	}
	first, most := firstBackoff, maxBackoff
	// A newcomer at a known host is retried as soon as there is room.
	if s := g.standing(&f.cargo); f.unproven(s) && (s == outbox.Stranger || !d.busy) {
		first, most = firstUnproven, maxUnproven
	}
	ceiling := min(first<<min(f.tries, 16), most)
	if f.attempt.outlived { // the device did not cause it
		ceiling = first
	}
	return d.notBefore + g.Jitter(ceiling)
}

// pause waits for a time, and reports false if ctx was done first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
