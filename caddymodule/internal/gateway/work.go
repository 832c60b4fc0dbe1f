package gateway

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// maxLease is how many devices are leased in one go.
	maxLease = 64
	// workPause is how long to leave an outbox alone that fails.
	workPause = time.Second

	// The nth time in a row that a device cannot be served, it is left alone for a random time up to firstBackoff doubled n times
	// (full jitter), but no longer than maxBackoff.
	firstBackoff = 2 * time.Second
	maxBackoff   = 5 * time.Minute
)

// Work delivers what waits in the outbox, for each app on its own, until ctx is done. Attempts that have begun by then go on. Several
// gateways may work on one outbox, such as an old configuration and the new one.
func (g *Gateway) Work(ctx context.Context) {
	queue, ok := g.Outbox.(outbox.Queue)
	if !ok {
		return
	}
	var workers sync.WaitGroup
	for _, app := range g.Router.Apps() {
		workers.Go(func() { g.work(ctx, queue, app) })
	}
	workers.Wait()
}

// Recall remembers the events that an earlier process delivered, and lets all that waits be tried at once: what kept it may have been
// mended.
func (g *Gateway) Recall(ctx context.Context) error {
	_, asked := g.Outbox.(outbox.Claimer) // which is asked about each event anyway
	if ledger, ok := g.Outbox.(outbox.Ledger); ok && !asked && g.Dedupe > 0 {
		now := g.Now()
		if err := ledger.Recall(ctx, func(event [16]byte) { g.Shared.remember(event, now) }); err != nil {
			return err
		}
	}
	for _, app := range g.Router.Apps() {
		g.rouse(app)
	}
	return nil
}

// Retire lets all that waits be tried at once by the configuration that took over: what this one found may have been mended by it. The
// two work side by side for a moment, so that this one may have taken, and failed with, what the other was about to try.
func (g *Gateway) Retire() {
	g.retired.Store(true)
	for _, app := range g.Router.Apps() {
		g.rouse(app)
	}
}

// deferred is called after a push was left to the outbox for later. What is due later because of settings that are not in force any more,
// or of a fuse that has changed meanwhile, is due now.
func (g *Gateway) deferred(c cargo) {
	if g.retired.Load() || g.fuseOf(c.app) != c.fuse {
		g.rouse(c.app)
	}
}

// rouse lets all that waits for an app's provider be tried now.
func (g *Gateway) rouse(app *App) {
	queue, ok := g.Outbox.(outbox.Queue)
	if !ok {
		return
	}
	if err := queue.Rouse(context.Background(), app.Pattern); err != nil {
		g.outboxFailed("rousing pushes", err)
	}
}

func (g *Gateway) work(ctx context.Context, queue outbox.Queue, app *App) {
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
		leased, err := queue.Lease(ctx, app.Pattern, n)
		slots.Release(int64(n - len(leased)))
		for _, entry := range leased {
			g.Shared.began(app)
			go func() {
				defer g.Shared.ended(app)
				defer slots.Release(1)
				g.retry(app, entry)
			}()
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		g.outboxFailed("leasing pushes", err)
		select {
		case <-ctx.Done():
		case <-time.After(workPause):
		}
	}
}

// awaitBreaker waits while an app's push service is known to be down, and says whether it may get more than one push: a queue of those
// that the breaker turns away would only go round in circles.
func (g *Gateway) awaitBreaker(ctx context.Context, app *App) bool {
	b := g.Shared.breakers.of(breakerKey{app: app.Pattern})
	for b.State() == gobreaker.StateOpen {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(workPause):
		}
	}
	return b.State() == gobreaker.StateClosed
}

// retry makes an attempt at an entry of the outbox.
func (g *Gateway) retry(app *App, entry outbox.Leased) {
	c := cargo{app: app, push: new(providers.Push), key: entry.Device, accepted: entry.Accepted, tries: entry.Attempts, fuse: g.fuseOf(app)}
	o := providers.Dropped("expired", nil)
	start := g.Now()
	switch err := json.Unmarshal(entry.Push, c.push); {
	case err != nil || c.push.Device == nil || c.push.Notification == nil:
		c.push = &providers.Push{ID: entry.ID, Device: new(providers.Device)}
		o = providers.Dropped("unreadable", nil) // what encoding/json says may quote it
	case start.Before(entry.Expires):
		o = g.attempt(app, c.push)
	}
	f := newFlight(c)
	f.handed = done
	g.attempted(f, o, start)
}

// backoff is how long the outbox leaves a device alone.
func (g *Gateway) backoff(d decision, tries int) time.Duration {
	ceiling := min(firstBackoff<<min(tries, 16), maxBackoff)
	return d.notBefore + g.Jitter(ceiling)
}
