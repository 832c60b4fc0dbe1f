package redis

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// confirmInterval is how often a shard whose server does not confirm pushes is tried again.
const confirmInterval = 2 * time.Second

// doubtful is why and since when the server of a shard does not confirm pushes, although it answers.
type doubtful struct {
	want  redisclient.Acknowledge
	err   error
	since time.Time
}

func isUnconfirmed(err error) bool { return errors.Is(err, redisclient.ErrUnconfirmed) }

// changeSurely is change for a script whose effect must be confirmed by those that the configuration wants. If only that confirmation is
// missing, the error is ErrUnsure, and the reply is there.
func (s *shard) changeSurely(
	ctx context.Context, want redisclient.Acknowledge, script *redis.Script, keys []string, args ...any,
) (reply *redis.Cmd, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.enter(func() error {
		reply, err = s.queue.Client.Run(ctx, want, redisclient.Write{Script: script, Keys: keys, Args: args, Token: s.keys.confirm})
		return err
	})
	if err == nil || isUnconfirmed(err) {
		s.answers()
		s.confirmed(want, err)
	}
	return reply, unsure(err)
}

// confirmed notes whether the server confirmed a write, or why not. The first shard that is not confirmed is logged, and the last one that
// is again: one server may have many.
func (s *shard) confirmed(want redisclient.Acknowledge, err error) {
	before := s.doubtful.Load()
	switch {
	case err != nil && before == nil:
		if s.doubtful.CompareAndSwap(nil, &doubtful{want, err, time.Now()}) && s.queue.doubtful.Add(1) == 1 {
			s.queue.Log().Error("redis does not confirm pushes", "acknowledge", want.String(), "error", err,
				"hint", "check the replicas or the disk of redis; meanwhile, pushes that cannot be delivered at once are answered with 503")
		}
	case err == nil && before != nil:
		if s.doubtful.CompareAndSwap(before, nil) && s.queue.doubtful.Add(-1) == 0 {
			s.queue.Log().Info("redis confirms pushes again")
		}
	}
}

// confirmEvery finds out whether servers confirm pushes again, until the context ends.
func (q *queue) confirmEvery(ctx context.Context) {
	ticker := time.NewTicker(confirmInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		_ = q.each(func(s *shard) error {
			d := s.doubtful.Load()
			if d == nil {
				return nil
			}
			ctx, cancel := context.WithTimeout(ctx, outbox.WriteTime)
			defer cancel()
			if _, err := q.Client.Run(ctx, d.want, redisclient.Write{Token: s.keys.confirm}); err == nil {
				s.confirmed(d.want, nil)
			}
			return nil
		})
	}
}

// unconfirmed returns since when and why any server does not confirm pushes.
func (q *queue) unconfirmed() (since time.Time, why error) {
	for _, s := range q.shards {
		if d := s.doubtful.Load(); d != nil && (why == nil || d.since.Before(since)) {
			since, why = d.since, d.err
		}
	}
	return since, why
}
