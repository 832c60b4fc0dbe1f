package caddymodule

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
)

// warmTimeout limits how long a provider may prepare. By then, the first pushes have shown what is wrong.
const warmTimeout = 30 * time.Second

// warm lets each app's provider prepare for its first push, until ctx is done. It waits until all of Caddy's apps have started. They start
// in any order, and if a later one fails, a configuration that never went live must not have connected to anything. Nothing waits for
// warm: pushes that come earlier connect by themselves, and share connections that are being set up.
func warm(ctx context.Context, allStarted <-chan struct{}, apps []*gateway.App, o *telemetry.Observer) {
	select {
	case <-allStarted:
	case <-ctx.Done():
		return
	}
	var group sync.WaitGroup
	for _, app := range apps {
		group.Go(func() {
			if err := warmUp(ctx, app); err != nil && ctx.Err() == nil { // otherwise, the configuration is ending
				o.WarmFailed(app, err)
			}
		})
	}
	group.Wait()
}

// warmUp lets one provider prepare.
func warmUp(ctx context.Context, app *gateway.App) error {
	ctx, cancel := context.WithTimeout(ctx, warmTimeout)
	defer cancel()
	return app.Warm(ctx)
}

// dropUntargeted drops the records of an earlier version that don't name their target, once for each app. With many records, this may take
// a while. Nothing waits for it, and these records reject no one meanwhile. Like warm, it waits until all of Caddy's apps have started.
func dropUntargeted(ctx context.Context, allStarted <-chan struct{}, g *gateway.Gateway, o *telemetry.Observer) {
	select {
	case <-allStarted:
	case <-ctx.Done():
		return
	}
	dropped, err := g.DropUntargeted(ctx)
	for _, app := range slices.Sorted(maps.Keys(dropped)) {
		if n := dropped[app]; n > 0 {
			o.UntargetedDropped(app, n)
		}
	}
	if err != nil && ctx.Err() == nil {
		o.StoreFailed("dropping the rejections of an earlier version", err)
	}
}
