package caddymodule

import (
	"context"
	"maps"
	"slices"

	"go.uber.org/zap"
)

// dropUntargeted drops what an earlier version has on record of devices without their targets, once for each app. It may take a while with many
// records; nobody waits for it, and nobody is rejected for them meanwhile. As in warm, all of Caddy has to have started before.
func (a *App) dropUntargeted(ctx context.Context) {
	select {
	case <-a.events.ready:
	case <-ctx.Done():
		return
	}
	dropped, err := a.gateway.DropUntargeted(ctx)
	for _, app := range slices.Sorted(maps.Keys(dropped)) {
		if n := dropped[app]; n > 0 {
			a.observer.logger.Info("rejections of an earlier version dropped", zap.String("app", app), zap.Int("records", n),
				zap.String("hint", "they don't say for which endpoint they were; the gateway learns again which pushkeys are dead"))
		}
	}
	if err != nil && ctx.Err() == nil {
		a.observer.StoreFailed("dropping the rejections of an earlier version", err)
	}
}
