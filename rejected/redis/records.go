package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// lookupTime is how long a request waits for Redis.
	lookupTime = 100 * time.Millisecond
	// maxSwaps bounds how often a write is begun anew because others changed the record meanwhile.
	maxSwaps = 100
)

var (
	//go:embed cas.lua
	casLua    string
	casScript = redis.NewScript(casLua)

	errContended = errors.New("redis: others keep changing the record")
)

func (d *shelf) name(k rejected.Key) string { return d.base + k.String() }

func (d *shelf) lookup(ctx context.Context, keys []rejected.Key, marks []rejected.Mark, expire time.Duration) error {
	return d.Enter(func() error {
		now := d.now()
		var missing []int
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
		return d.ask(ctx, keys, missing, marks, expire)
	})
}

// ask fills in the marks of those keys that are missing.
func (d *shelf) ask(ctx context.Context, keys []rejected.Key, missing []int, marks []rejected.Mark, expire time.Duration) error {
	if len(missing) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	names, seen := make([]string, len(missing)), make([]time.Time, len(missing))
	for n, i := range missing {
		names[n], seen[n] = d.name(keys[i]), d.front.seen(keys[i])
	}
	generation, now := d.front.generation(), d.now()
	values, err := d.Client.MGet(ctx, names...).Result()
	if err != nil {
		return fmt.Errorf("redis: %w", err)
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
	for _, key := range touched { // not before all is learned, for writing it down is a change
		d.touches.add(key, sighting{now, expire})
	}
	return nil
}

// current is the record that a value stands for, unless there is none or it expired. What this process saw counts, as it was known before
// the value was read: what is written down meanwhile is no longer known. Stored is when it was last seen by what Redis has.
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

func (d *shelf) reject(key rejected.Key, v rejected.Verdict, expire time.Duration) error {
	return d.Enter(func() error {
		return d.change(context.Background(), key, expire, func(value string, seen time.Time) (rejected.Record, bool) {
			r, _, _ := d.current(value, seen, expire)
			return r.Add(v), true
		})
	})
}

// revision makes another record of a value in Redis, and of when this process last saw the record; or says that it stays.
type revision func(value string, seen time.Time) (rejected.Record, bool)

// change puts what fn makes of a key's value in place of it. If another gateway did so meanwhile, fn is asked again.
func (d *shelf) change(ctx context.Context, key rejected.Key, expire time.Duration, fn revision) error {
	for swaps := range maxSwaps {
		seen := d.front.seen(key)
		before, err := d.Client.Get(ctx, d.name(key)).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("redis: %w", err)
		}
		r, ok := fn(before, seen)
		if !ok {
			return nil
		}
		after, err := encode(r)
		if err != nil {
			return err
		}
		swapped, err := casScript.Run(ctx, d.Client, []string{d.name(key)}, before, after, expire.Milliseconds()).Bool()
		switch {
		case err != nil:
			return fmt.Errorf("redis: %w", err)
		case swapped:
			d.front.remove(key)
			return nil
		}
		time.Sleep(rand.N(time.Millisecond * time.Duration(min(swaps+1, 20)))) //nolint:gosec // no secret
	}
	return errContended
}

func (d *shelf) get(ctx context.Context, key rejected.Key, expire time.Duration) (r rejected.Record, err error) {
	err = d.Enter(func() error {
		seen := d.front.seen(key)
		value, err := d.Client.Get(ctx, d.name(key)).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("redis: %w", err)
		}
		var ok bool
		if r, _, ok = d.current(value, seen, expire); !ok {
			return rejected.ErrNotFound
		}
		return nil
	})
	return r, err
}

func (d *shelf) forget(key rejected.Key) error {
	return d.Enter(func() error {
		if err := d.Client.Del(context.Background(), d.name(key)).Err(); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		d.front.remove(key)
		return nil
	})
}
