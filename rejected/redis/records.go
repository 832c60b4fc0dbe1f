package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/until"
)

const (
	// lookupTime is how long a request waits for Redis.
	lookupTime = 100 * time.Millisecond
	// maxCalls bounds how many calls run at a time. Redis has connections for some of them.
	maxCalls = 4096
)

// run keeps the connections open while fn uses them, and ends with the context, which go-redis heeds only if it has a deadline. Errors of
// fn get the prefix "redis:".
func run[T any](ctx context.Context, d *shelf, fn func() (T, error)) (T, error) {
	value, err := until.Run(ctx, d.calls, func() (value T, err error) {
		err = d.Enter(func() error {
			value, err = fn()
			return err
		})
		return value, err
	})
	if err != nil {
		var none T
		return none, failed(ctx, err)
	}
	return value, nil
}

func (d *shelf) do(ctx context.Context, fn func() error) error {
	_, err := run(ctx, d, func() (struct{}, error) { return struct{}{}, fn() })
	return err
}

// failed returns the error of a call. If the call did not end in time, it wraps the context's error, whatever the network reports.
func failed(ctx context.Context, err error) error {
	end := ctx.Err()
	if deadline, ok := ctx.Deadline(); ok && end == nil && !time.Now().Before(deadline) {
		end = context.DeadlineExceeded // the connection noticed it before the context
	}
	switch {
	case errors.Is(err, rejected.ErrNotOpen), errors.Is(err, rejected.ErrNotFound):
		return err
	case end != nil && !errors.Is(err, end):
		return fmt.Errorf("redis: %w: %w", end, err)
	default:
		return fmt.Errorf("redis: %w", err)
	}
}

func (d *shelf) lookup(ctx context.Context, keys []rejected.Key, marks []rejected.Mark, expire time.Duration) error {
	var missing []int
	err := d.Enter(func() error {
		now := d.now()
		for i, key := range keys {
			m, touch, ok := d.front.lookup(key, now, touchInterval(expire))
			if !ok {
				missing = append(missing, i)
				continue
			}
			marks[i] = m
			if touch {
				d.touches.add(key, sighting{now, expire})
			}
		}
		return nil
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	return d.ask(ctx, keys, missing, marks, expire)
}

// ask fills in the marks of the keys that are missing. It asks all shards at once, so one that does not answer costs only its own marks.
func (d *shelf) ask(ctx context.Context, keys []rejected.Key, missing []int, marks []rejected.Mark, expire time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d.lookupTime)
	defer cancel()
	byShard := make(map[int][]int)
	for _, i := range missing {
		byShard[d.of(keys[i])] = append(byShard[d.of(keys[i])], i)
	}
	if len(byShard) == 1 {
		return d.askShard(ctx, keys, missing, marks, expire)
	}
	var asked sync.WaitGroup
	errs := make([]error, len(d.shards))
	for n, some := range byShard {
		asked.Go(func() { errs[n] = d.askShard(ctx, keys, some, marks, expire) })
	}
	asked.Wait()
	return errors.Join(errs...)
}

// askShard fills in the marks of the keys that are missing, which are all in one shard.
func (d *shelf) askShard(ctx context.Context, keys []rejected.Key, missing []int, marks []rejected.Mark, expire time.Duration) error {
	names, seen := make([]string, len(missing)), make([]time.Time, len(missing))
	for n, i := range missing {
		names[n], seen[n] = d.name(keys[i]), d.front.seen(keys[i])
	}
	generation, now := d.front.generation(), d.now()
	values, err := run(ctx, d, func() ([]any, error) { return d.Client.MGet(ctx, names...).Result() })
	if err != nil {
		return err
	}
	var touched []rejected.Key
	for n, i := range missing {
		value, _ := values[n].(string)
		r, stored, ok := d.current(value, seen[n], expire)
		if !ok {
			continue
		}
		marks[i] = r.Mark()
		if now.Sub(stored) >= touchInterval(expire) {
			touched = append(touched, keys[i])
			stored = now
		}
		d.front.learn(keys[i], known{mark: r.Mark(), read: now, seen: now, stored: stored}, generation)
	}
	for _, key := range touched { // only after all is learned, because writing it is a change
		d.touches.add(key, sighting{now, expire})
	}
	return nil
}

// current returns the record of a value, unless there is none or it has expired. What this process saw counts, as known before the value
// was read: what is written meanwhile is no longer known. Stored is when it was last seen according to Redis.
func (d *shelf) current(value string, seen time.Time, expire time.Duration) (r rejected.Record, stored time.Time, ok bool) {
	if r, ok = decode(value); !ok {
		return rejected.Record{}, time.Time{}, false
	}
	stored = r.LastSeen
	r.LastSeen = later(r.LastSeen, seen)
	if d.now().Sub(r.LastSeen) >= expire {
		return rejected.Record{}, time.Time{}, false
	}
	return r, stored, true
}

func (d *shelf) get(ctx context.Context, key rejected.Key, expire time.Duration) (rejected.Record, error) {
	return run(ctx, d, func() (rejected.Record, error) {
		seen := d.front.seen(key)
		value, err := d.Client.Get(ctx, d.name(key)).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return rejected.Record{}, err
		}
		r, _, ok := d.current(value, seen, expire)
		if !ok {
			return rejected.Record{}, rejected.ErrNotFound
		}
		return r, nil
	})
}
