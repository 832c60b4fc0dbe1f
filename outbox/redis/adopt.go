package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
)

// The number of shards is in Redis, beside the keys of a single shard, and again in each shard. No key means one shard. While pushes are
// moved, all of them have both numbers, such as 1>16, and then no shard takes a push or leases one.

// arrow is between the two numbers.
const arrow = ">"

// errRefused means that the outbox cannot be used with this number of shards yet.
var errRefused = errors.New("run caddy matrix-push outbox move-shards with the new configuration, and then load it")

// main is the key that has the number of shards of the whole outbox.
func (q *queue) main() string { return newKeys(q.prefix).shards }

// own returns the number of shards of the configuration.
func (q *queue) own() string { return strconv.Itoa(len(q.shards)) }

// stored returns the number of shards of the outbox in Redis.
func (q *queue) stored(ctx context.Context) (string, error) {
	number, err := q.numberAt(ctx, q.main())
	return number, q.failed(err)
}

// numberAt returns the number of shards that is in a key.
func (q *queue) numberAt(ctx context.Context, key string) (string, error) {
	number, err := q.Client.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		return "1", nil
	}
	return number, err
}

func (q *queue) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redis: %w", err)
}

// adopt makes sure that the outbox has the number of shards of the configuration. It changes the number if no pushes are pending.
func (q *queue) adopt(ctx context.Context) (err error) {
	for range 3 { // other gateways may do the same now
		if err = q.tryAdopt(ctx); !errors.Is(err, errOtherMove) {
			break
		}
	}
	return err
}

// adoptLater tries again what failed when the configuration loaded, until the context ends.
func (q *queue) adoptLater(ctx context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.unadopted:
		}
		for again := true; again; {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			again = q.adoptAgain(ctx)
		}
	}
}

// adoptAgain adopts the number of shards, and reports whether that must be tried again. If pushes are pending with another number, no shard
// is used until they have been moved.
func (q *queue) adoptAgain(ctx context.Context) (again bool) {
	if q.refused.Load() != nil {
		if was, err := q.stored(ctx); err != nil || was != q.own() {
			return true
		}
	}
	switch err := q.adopt(ctx); {
	case err == nil:
		q.refused.Store(nil)
		return false
	case errors.Is(err, errRefused):
		q.refused.Store(&err)
		q.Log().Error("the outbox cannot be used with this number of shards", "error", err)
		for _, s := range q.shards {
			s.trouble.Store(&err)
		}
		q.desks.wake()
	}
	return true
}

// wrongNumber returns why a shard cannot be used with the configuration's number.
func (s *shard) wrongNumber() error {
	if refused := s.queue.refused.Load(); refused != nil {
		return *refused
	}
	return s.wrapped(errShards)
}

func (q *queue) tryAdopt(ctx context.Context) error {
	was, err := q.stored(ctx)
	switch {
	case err != nil:
		return err
	case was == q.own():
		return q.mark(ctx)
	}
	from, to, moving := strings.Cut(was, arrow)
	pending, err := q.pending(ctx, from)
	switch {
	case err != nil:
		return err
	case moving && (pending || to != q.own()):
		return fmt.Errorf("shards: moving the pending pushes from %s to %s was not finished: %w", shards(from), shards(to), errRefused)
	case pending:
		return fmt.Errorf("shards: pushes are pending in %s, and the configuration has %s: %w", shards(was), q.own(), errRefused)
	}
	return q.move(ctx, redisclient.Acknowledge{}, func(int) {}) // there are none
}

func shards(number string) string {
	if number == "1" {
		return "1 shard"
	}
	return number + " shards"
}

// mark writes the number into the shards that don't have it yet.
func (q *queue) mark(ctx context.Context) error {
	if len(q.shards) == 1 {
		return nil
	}
	return q.each(func(s *shard) error {
		if err := q.Client.SetNX(ctx, s.keys.shards, q.own(), 0).Err(); err != nil {
			return s.wrapped(err)
		}
		number, err := q.Client.Get(ctx, s.keys.shards).Result()
		if err == nil && number != q.own() {
			return fmt.Errorf("shards: shard %d has the number %s: %w", s.number, number, errRefused)
		}
		return s.wrapped(err)
	})
}

// pending reports whether there are pending pushes in an outbox of a number of shards.
func (q *queue) pending(ctx context.Context, number string) (bool, error) {
	n, err := parse(number)
	if err != nil {
		return false, err
	}
	for _, s := range q.others(n) {
		apps, err := q.Client.SMembers(ctx, s.keys.apps).Result()
		if err != nil {
			return false, s.wrapped(err)
		}
		for _, app := range apps {
			devices, err := q.Client.HLen(ctx, s.keys.of(app)[2]).Result()
			if err != nil || devices > 0 {
				return true, s.wrapped(err)
			}
		}
	}
	return false, nil
}

// others returns the shards that the outbox would have with another number.
func (q *queue) others(n int) (shards []*shard) {
	for number := range n {
		shards = append(shards, newShard(q, number, n))
	}
	return shards
}

// parse reads a number of shards from Redis.
func parse(number string) (int, error) {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || redisclient.CheckShards(n) != nil {
		return 0, errNonsense
	}
	return n, nil
}
