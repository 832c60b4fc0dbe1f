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
func (s *shard) sweepEvery(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		mine, err := s.queue.Client.SetNX(ctx, s.keys.sweep, s.queue.owner, interval*9/10).Result()
		if mine {
			err = s.sweep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.queue.Log().Error("the outbox cannot be cleaned up", "error", err)
		}
	}
}

// sweep removes expired entries. Events expire by themselves.
func (s *shard) sweep(ctx context.Context) error {
	apps, err := s.queue.Client.SMembers(ctx, s.keys.apps).Result()
	if err != nil {
		return err
	}
	for _, app := range apps {
		removed, err := s.sweepApp(ctx, app)
		if removed > 0 {
			s.queue.Log().Info("expired pushes removed from the outbox", "app", app, "pushes", removed)
			s.queue.losses.Lost(app, outbox.LossExpired, int(removed))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *shard) sweepApp(ctx context.Context, app string) (removed int64, err error) {
	for skip := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		answer, err := s.ask(ctx, sweepScript, append(s.keys.of(app), s.keys.apps), app, sweepGrace.Milliseconds(), skip, maxBatch)
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
			return removed, s.repair(ctx, app)
		}
		skip += skipped
	}
}

// repair corrects the counts of the room where gateways of an earlier version left entries out or in.
func (s *shard) repair(ctx context.Context, app string) error {
	for _, where := range []string{"idle", "busy", "listing"} {
		for from := ""; ; {
			if err := ctx.Err(); err != nil {
				return err
			}
			answer, err := s.ask(ctx, repairScript, s.keys.of(app), where, from, maxBatch)
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
