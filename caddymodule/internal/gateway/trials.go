package gateway

import (
	"context"
	"time"
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
