package gateway

import (
	"context"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// trialTick is how often to check whether an open breaker wants a trial.
const trialTick = 500 * time.Millisecond

// offerTrials makes a pending push due at the end of each breakerPause, for each of an app's hosts whose breaker is open, until ctx is
// done. The breaker admits it as a trial. If no push is pending, there is nothing to try, and nothing that waits for a trial.
func (g *Gateway) offerTrials(ctx context.Context, app *App) {
	defer app.hosts.pass()
	for {
		for g.offerDue(ctx, app) {
			if !pause(ctx, trialTick) {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-app.hosts.opened:
		}
	}
}

// offerDue makes the trials due whose time has come, and reports whether a breaker is open.
func (g *Gateway) offerDue(ctx context.Context, app *App) (more bool) {
	due, next := app.hosts.offers(g.Now())
	for _, o := range due {
		if ctx.Err() != nil {
			break
		}
		g.offerTrial(app, o)
	}
	return !next.IsZero()
}

// offerTrial makes a device's pending push due, if possible one of a device that was delivered to before: a stranger's push would
// decide for others.
func (g *Gateway) offerTrial(app *App, o offer) {
	for _, device := range o.trusted {
		if g.box.rouseDevice(app, device) {
			return
		}
	}
	g.box.rouseHost(app, o.host, 1)
}

// offerPause is how long a pending push that was made due has to become a trial.
const offerPause = time.Second

// offer is a host whose breaker wants a pending push for a trial.
type offer struct {
	host    string
	trusted []rejected.Key // preferred devices: those delivered to last, and those with pending pushes
}

// offers returns the hosts that need a trial now, and when to check again; zero if no breaker is open.
func (h *hosts) offers(now time.Time) (due []offer, next time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, one := range h.open {
		b := &one.breaker
		if !now.Before(b.offerAt) {
			o := offer{host: name}
			if b.offered = !b.offered; b.offered {
				// If it does not become a trial, because a push of the device is still under way, another device has its turn.
				b.offerAt, o.trusted = now.Add(offerPause), append(one.trusted.all(), one.wanting.all()...)
			} else {
				b.offerAt = now.Add(breakerPause - offerPause)
			}
			due = append(due, o)
		}
		if next.IsZero() || b.offerAt.Before(next) {
			next = b.offerAt
		}
	}
	return due, next
}

// trialDue reports whether the breaker of the app's only service may admit a trial.
func (h *hosts) trialDue(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.single.breaker.mayTry(now, 0)
}
