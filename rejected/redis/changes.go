package redis

import (
	"context"
	_ "embed"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/revision"
)

// maxSwaps bounds how often a write starts again because others changed the record meanwhile.
const maxSwaps = 100

var (
	//go:embed cas.lua
	casLua    string
	casScript = redis.NewScript(casLua)

	errContended = errors.New("other gateways keep changing the record")
)

func (d *shelf) reject(ctx context.Context, key rejected.Key, v rejected.Verdict, expire time.Duration) error {
	return d.do(ctx, func() error {
		return d.revise(ctx, key, expire, func(r rejected.Record) (rejected.Record, revision.Fate) { return r.Add(v), revision.Put })
	})
}

func (d *shelf) suspect(ctx context.Context, key rejected.Key, v rejected.Verdict, expire time.Duration) (rejected.Suspicion, error) {
	return run(ctx, d, func() (s rejected.Suspicion, err error) {
		err = d.revise(ctx, key, expire, func(r rejected.Record) (rejected.Record, revision.Fate) {
			r = r.Suspect(v)
			s = r.Suspicion
			return r, revision.Put
		})
		return s, err
	})
}

// acquit costs one read if there is no suspicion.
func (d *shelf) acquit(ctx context.Context, key rejected.Key, expire time.Duration) error {
	return d.do(ctx, func() error { return d.revise(ctx, key, expire, revision.Acquit) })
}

func (d *shelf) forget(ctx context.Context, key rejected.Key) error {
	return d.do(ctx, func() error {
		err := d.Client.Del(ctx, d.name(key)).Err()
		d.front.remove(key) // also after an error: the record may be gone
		return err
	})
}

// revise changes a key's record as fn says.
func (d *shelf) revise(
	ctx context.Context, key rejected.Key, expire time.Duration, fn func(rejected.Record) (rejected.Record, revision.Fate),
) error {
	return d.change(ctx, key, expire, func(value string, seen time.Time) (rejected.Record, revision.Fate) {
		r, _, _ := d.current(value, seen, expire)
		return fn(r)
	})
}

// change changes a key's value in Redis as fn says. It also passes fn the time when this process last saw the record. If another gateway
// changed the value meanwhile, fn is called again.
func (d *shelf) change(
	ctx context.Context, key rejected.Key, expire time.Duration, fn func(value string, seen time.Time) (rejected.Record, revision.Fate),
) error {
	for swaps := range maxSwaps {
		seen := d.front.seen(key)
		before, err := d.Client.Get(ctx, d.name(key)).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		r, to := fn(before, seen)
		if to == revision.Keep {
			return nil
		}
		after := ""
		if to == revision.Put {
			if after, err = encode(r); err != nil {
				return err
			}
		}
		swapped, err := casScript.Run(ctx, d.Client, []string{d.name(key)}, before, after, expire.Milliseconds()).Bool()
		switch {
		case err != nil:
			d.front.remove(key) // the change may have happened
			return err
		case swapped:
			d.front.remove(key)
			return nil
		}
		select {
		case <-time.After(rand.N(time.Millisecond * time.Duration(min(swaps+1, 20)))): //nolint:gosec // no secret
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errContended
}
