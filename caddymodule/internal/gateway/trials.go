package gateway

import (
	"context"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// trialTick is how often to look, at least, whether a breaker that is open wants a trial.
const trialTick = 500 * time.Millisecond

// offerTrials has a pending push made due for each of an app's hosts that are kept off, at the end of each of the breaker's pauses, until
// ctx is done. The breaker lets it through as a trial; without pending pushes there is nothing to try, and nobody waits for it.
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

// offerDue makes what is due now due, and reports whether a breaker is open.
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

// offerTrial makes a device's push due: of one that was delivered to before, where there is one. A stranger's would decide for others.
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
	trusted []rejected.Key // devices to prefer: those that were delivered to last, and those that wait
}

// offers are the hosts for which a trial is to be made due, and when to look again; zero if no breaker is open.
func (h *hosts) offers(now time.Time) (due []offer, next time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, one := range h.open {
		b := &one.breaker
		if !now.Before(b.offerAt) {
			o := offer{host: name}
			if b.offered = !b.offered; b.offered {
				// If it becomes no trial, since the device's push is under way still, another device has its turn.
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

// trialDue reports whether the app's one service may get a trial, where its breaker is open.
func (h *hosts) trialDue(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.single.breaker.mayTry(now, 0)
}
