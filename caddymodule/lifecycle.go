package caddymodule

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// Start opens the stores, starts the providers and resumes the pending pushes of the outbox.
func (a *App) Start() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if store, ok := a.gateway.Rejected.(rejected.Opener); ok {
		if err := store.Open(ctx); err != nil {
			return fmt.Errorf("rejected: %w", err)
		}
	}
	if box, ok := a.gateway.Outbox.(outbox.Opener); ok {
		if err := box.Open(ctx); err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
	}
	if err := a.startApps(ctx); err != nil {
		return err
	}
	a.gateway.Recall(ctx)
	live, stop := context.WithCancel(context.Background())
	a.stop = stop
	apps := a.gateway.Router.Apps()
	go a.events.Run()
	go a.announce(live, a.shared)
	go a.observer.WatchExpiry(live, apps)
	go warm(live, a.events.AllStarted(), apps, a.observer)
	go func() {
		defer close(a.hasProbeKey)
		keepProbeKey(live, a.events.AllStarted(), a.ctx.Storage(), a.shared.Probes)
	}()
	go dropUntargeted(live, a.events.AllStarted(), a.gateway, a.observer)
	go a.gateway.Work(live)
	close(a.started)
	return nil
}

// startApps tells each app's provider its sites, and starts it.
func (a *App) startApps(ctx context.Context) error {
	sites := mounts(a.ctx)
	a.gateway.Sites = sitesOf(a.ctx, sites)
	for _, app := range a.gateway.Router.Apps() {
		if err := app.Mounted(publicHosts(sites, app)); err != nil {
			return fmt.Errorf("app %q: %w", app.Pattern, err)
		}
		if err := app.Start(ctx); err != nil {
			return fmt.Errorf("app %q: %w", app.Pattern, err)
		}
	}
	return nil
}

// startPatience is how long a request waits for its configuration to start.
const startPatience = 10 * time.Second

// ready waits until the app has started, and reports whether it has. Caddy starts its apps in any order. A request that comes before would
// miss the pending pushes that it must follow and the events that were delivered.
func (a *App) ready(ctx context.Context) bool {
	select {
	case <-a.started:
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	select {
	case <-a.started:
		return true
	case <-ctx.Done():
		return false
	}
}

// Stop stops work on the outbox and leaves pending pushes to the next configuration. Pushes in flight belong to the pool.
func (a *App) Stop() error {
	a.stop()
	select { // otherwise it could still write to the storage
	case <-a.hasProbeKey:
	case <-time.After(probeKeyTime): // of a storage that ignores the end of its context
	}
	a.events.Retire()
	a.observer.Retire()
	a.gateway.Retire()
	a.shared.grace.Store(int64(GracePeriod(a.ctx)))
	return nil
}

// Cleanup releases the state that configurations share.
func (a *App) Cleanup() error {
	if a.shared == nil {
		return nil
	}
	a.shared = nil
	_, err := pool.Delete(poolKey)
	return err
}

// release cleans up an app whose configuration never goes live, as Caddy does not do it then.
func (a *App) release() {
	guests := []any{a.gateway.Rejected, a.gateway.Outbox}
	for _, app := range a.gateway.Router.Apps() {
		guests = append(guests, app.Provider)
	}
	for _, guest := range slices.Insert(guests, 0, any(a)) {
		_ = cleanedUp(guest) // the process ends
	}
}
