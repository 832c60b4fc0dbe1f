package redisclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// trial does what the stores' scripts need, and changes nothing: with XX, only a key that exists is set. Redis refuses it on a replica,
// without permissions, and while it may not write.
const trial = `redis.call('TIME')
redis.call('SET', KEYS[1], '', 'XX')
redis.call('EXISTS', KEYS[1])
return 1`

// Check finds out whether Redis has what a store needs, and changes nothing. The key is one that the store never sets. If Redis gave no
// answer, [Unreachable] reports that of the error. Settings with which Redis may lose data are logged.
func (c *Client) Check(ctx context.Context, key string, log *slog.Logger) error {
	info, err := c.Info(ctx, "server", "memory", "persistence").Result()
	var refusal redis.Error
	switch {
	case err == nil:
		warn(info, log)
		err = checkVersion(info)
	case errors.As(err, &refusal) && strings.HasPrefix(err.Error(), "NOPERM"): // INFO is not allowed for everybody
		err = nil
	}
	if err == nil {
		err = c.Eval(ctx, trial, []string{key}).Err()
	}
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
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
