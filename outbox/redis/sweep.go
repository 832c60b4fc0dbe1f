package redis

import (
	"context"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const (
	sweepInterval = 10 * time.Minute
	// sweepGrace leaves it to the workers to give up expired pushes. The sweep is for apps that are no longer configured, and for devices that
	// have not been tried for long.
	sweepGrace = 30 * time.Minute
)

// sweepEvery removes expired entries of all apps until the context ends. One gateway does it in each interval.
func (q *queue) sweepEvery(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		mine, err := q.Client.SetNX(ctx, q.keys.sweep, q.owner, interval*9/10).Result()
		if mine {
			err = q.sweep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			q.Log().Error("the outbox cannot be cleaned up", "error", err)
		}
	}
}

// sweep removes expired entries. Events expire by themselves.
func (q *queue) sweep(ctx context.Context) error {
	apps, err := q.Client.SMembers(ctx, q.keys.apps).Result()
	if err != nil {
		return err
	}
	for _, app := range apps {
		removed, err := q.sweepApp(ctx, app)
		if removed > 0 {
			q.Log().Info("expired pushes removed from the outbox", "app", app, "pushes", removed)
			q.losses.Lost(app, outbox.LossExpired, int(removed))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (q *queue) sweepApp(ctx context.Context, app string) (removed int64, err error) {
	for skip := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		answer, err := q.ask(ctx, sweepScript, append(q.keys.of(app), q.keys.apps), app, sweepGrace.Milliseconds(), skip, maxBatch)
		if err != nil {
			return removed, err
		}
		v := read(answer)
		seen, skipped := v.number(), v.number()
		removed += v.number()
		astray := v.number()
		if seen < maxBatch {
			if err := v.err(); err != nil || astray == 0 {
				return removed, err
			}
			return removed, q.repair(ctx, app)
		}
		skip += skipped
	}
}

// repair corrects the counts of the room where gateways of an earlier version left entries out or in.
func (q *queue) repair(ctx context.Context, app string) error {
	for _, where := range []string{"idle", "busy", "listing"} {
		for from := ""; ; {
			if err := ctx.Err(); err != nil {
				return err
			}
			answer, err := q.ask(ctx, repairScript, q.keys.of(app), where, from, maxBatch)
			if err != nil {
				return err
			}
			if from, err = answer.Text(); err != nil {
				return errNonsense
			}
			if from == "" {
				break
			}
		}
	}
	return nil
}
