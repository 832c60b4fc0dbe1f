package redis

import (
	"context"
	_ "embed"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// witnessTime is how long to remember that a host took a push. It is longer than a suspicion can last that no other device of the host
// ends.
const witnessTime = 48 * time.Hour

var (
	//go:embed newer.lua
	newerLua    string
	newerScript = redis.NewScript(newerLua)
)

func (d *shelf) delivered(ctx context.Context, host rejected.Key, at time.Time) error {
	return d.do(ctx, func() error {
		return newerScript.Run(ctx, d.Client, []string{d.host(host)}, at.UnixMilli(), witnessTime.Milliseconds()).Err()
	})
}

func (d *shelf) lastDelivered(ctx context.Context, host rejected.Key) (time.Time, error) {
	return run(ctx, d, func() (time.Time, error) {
		value, err := d.Client.Get(ctx, d.host(host)).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return time.Time{}, err
		}
		return parseTime(value), nil
	})
}

// parseTime reads a time in milliseconds; zero if it is not one.
func parseTime(value string) time.Time {
	ms, err := strconv.ParseInt(value, 10, 64)
	if err != nil || ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
