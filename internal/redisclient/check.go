package redisclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// trial does what the stores' scripts need, and changes nothing: with XX, only a key that exists is set. Redis refuses it on a replica,
// without permissions, and while it may not write.
const trial = `redis.call('TIME')
redis.call('SET', KEYS[1], '', 'XX')
redis.call('EXISTS', KEYS[1])
return 1`

// checkTime bounds how long a check takes. Caddy's start waits for it.
const checkTime = 5 * time.Second

// Probe finds out whether Redis can be used. If Redis refuses, for example because of a wrong password, that is an error. If it cannot be
// reached, or not at the moment, that is only logged: Redis may start after the gateway, and the sites beside the gateway must be served
// meanwhile. The keys are those of [Client.Check].
func (c *Client) Probe(ctx context.Context, log *slog.Logger, keys ...string) error {
	err := c.Check(ctx, log, keys...)
	switch {
	case answered(err, unavailable...), answered(err, readOnly...), errors.Is(err, errNotNow):
		log.Error("redis cannot be used at the moment", "error", err, "hint", "the gateway tries again whenever it needs Redis")
	case Unreachable(err):
		log.Error("redis cannot be reached", "error", err, "hint",
			"start Redis, or correct its address; the gateway tries again whenever it needs Redis")
	default:
		return err
	}
	return ctx.Err()
}

// Check finds out whether Redis has what a store needs, and changes nothing. The keys are ones that the store never sets, one on each
// server that it uses. If Redis gave no answer, [Unreachable] reports that of the error. Settings with which Redis may lose data are
// logged.
func (c *Client) Check(ctx context.Context, log *slog.Logger, keys ...string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	err := c.checkSentinels(ctx, log)
	if err == nil {
		err = c.checkServers(ctx, log, keys)
	}
	if err != nil {
		return fmt.Errorf("redis: %w", c.cured(err))
	}
	return nil
}

// checkServers looks at the server of each key, at all servers at once. It returns a refusal rather than that a server cannot be reached.
func (c *Client) checkServers(ctx context.Context, log *slog.Logger, keys []string) error {
	var errs []error
	byServer := make(map[*redis.Client][]string)
	for _, key := range keys {
		server, err := c.On(ctx, key)
		if err == nil {
			byServer[server] = append(byServer[server], key)
		}
		errs = append(errs, c.passing(err))
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for server, keys := range byServer {
		all.Go(func() {
			err := c.passing(c.checkKeys(ctx, log, server, keys))
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	all.Wait()
	var unreachable error
	for _, err := range errs {
		switch {
		case Unreachable(err):
			unreachable = err
		case err != nil:
			return err
		}
	}
	return unreachable
}

// passing adds errNotNow to the error of a server that becomes or was a primary: the others know.
func (c *Client) passing(err error) error {
	if c.address.URL == "" && answered(err, "READONLY", "MOVED") {
		return fmt.Errorf("%w: %w", errNotNow, err)
	}
	return err
}

// checkKeys looks at a server, and tries what the stores do with some of its keys.
func (c *Client) checkKeys(ctx context.Context, log *slog.Logger, server *redis.Client, keys []string) error {
	err := c.checkServer(ctx, log, server)
	for n := 0; n < len(keys) && err == nil; n++ {
		err = c.Eval(ctx, trial, keys[n:n+1]).Err()
	}
	return err
}

// checkServer looks at a server's version and settings, for which not every user may ask, and at its cluster.
func (c *Client) checkServer(ctx context.Context, log *slog.Logger, server *redis.Client) error {
	info, err := server.Info(ctx).Result()
	switch {
	case err == nil:
		warn(info, log)
		err = checkVersion(info)
	case answered(err, "NOPERM"):
		err = nil
	}
	if err == nil && c.cluster != nil {
		err = checkSlots(ctx, server)
	}
	return err
}

// minMajor and minMinor are the oldest version whose commands the stores use.
const minMajor, minMinor = 6, 2

var redisVersion = regexp.MustCompile(`(?m)^redis_version:(\d+)\.(\d+)`)

// checkVersion returns an error if the server is too old. Valkey also has the version of the Redis that it is compatible with.
func checkVersion(info string) error {
	found := redisVersion.FindStringSubmatch(info)
	if found == nil {
		return nil
	}
	major, _ := strconv.Atoi(found[1])
	minor, _ := strconv.Atoi(found[2])
	if major > minMajor || major == minMajor && minor >= minMinor {
		return nil
	}
	return fmt.Errorf("the server has version %d.%d, and the gateway needs %d.%d or later", major, minor, minMajor, minMinor)
}

// warn logs settings with which Redis may lose data.
func warn(info string, log *slog.Logger) {
	if strings.Contains(info, "\r\naof_enabled:0\r\n") {
		log.Warn("redis has no append-only file; a restart loses all data since its last snapshot",
			"remedy", "appendonly yes")
	}
	if strings.Contains(info, "\r\nmaxmemory_policy:") && !strings.Contains(info, "\r\nmaxmemory_policy:noeviction\r\n") &&
		!strings.Contains(info, "\r\nmaxmemory:0\r\n") {
		log.Warn("redis may evict data when its memory is full", "remedy", "maxmemory-policy noeviction")
	}
}
