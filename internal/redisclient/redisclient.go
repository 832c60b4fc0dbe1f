// Package redisclient has the connections to Redis that the outbox and the rejected store share.
//
// It connects to one primary: a Redis or Valkey, version 6.2 or later, either itself or behind something that follows a failover. All keys
// have the same hash tag, so a cluster of one shard works too. A Redis Cluster of several shards needs a cluster client, which this is not.
package redisclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
)

const (
	// DefaultPrefix is the default prefix of keys.
	DefaultPrefix = "matrix_push"

	// A push waits for Redis, so a Redis that does not answer must not take long. The URL can set other timeouts, for example
	// ?read_timeout=2s.
	dialTimeout = time.Second
	ioTimeout   = 500 * time.Millisecond
	poolTimeout = time.Second // how long to wait for a free connection
)

// Client is a pool of connections to one Redis. All configurations with the same URL share it.
type Client struct {
	*redis.Client
	// Key identifies the URL without containing a secret.
	Key string
}

var clients = caddy.NewUsagePool()

var errURL = errors.New("must be redis://user:password@host:6379/0, rediss://… (TLS) or unix:///path/redis.sock?db=0; " +
	"percent-encode special characters of a password")

// Load takes a share of the connections to the Redis of a URL, whose placeholders it replaces. It does not connect. No error shows the URL,
// which may contain a password.
func Load(option string) (*Client, error) {
	url, err := caddy.NewReplacer().ReplaceOrErr(option, true, true)
	if err != nil {
		return nil, err
	}
	options, err := parse(url)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(url))
	key := hex.EncodeToString(sum[:])
	c, _, err := clients.LoadOrNew(key, func() (caddy.Destructor, error) {
		return &Client{Client: redis.NewClient(options), Key: key}, nil
	})
	if err != nil {
		return nil, err
	}
	return c.(*Client), nil
}

// parse reads a URL. It hides the errors of net/url and go-redis, which would quote the URL.
func parse(url string) (*redis.Options, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errURL
	}
	setDefault(&options.DialTimeout, dialTimeout)
	setDefault(&options.ReadTimeout, ioTimeout)
	setDefault(&options.WriteTimeout, ioTimeout)
	setDefault(&options.PoolTimeout, poolTimeout)
	options.ContextTimeoutEnabled = true
	// Only one layer retries, and it is not this one.
	options.MaxRetries = -1
	options.DialerRetries = 1
	// Send only the commands of this program.
	options.Protocol = 2
	options.PipelinePoolSize = -1
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return options, nil
}

func setDefault(d *time.Duration, fallback time.Duration) {
	if *d == 0 {
		*d = fallback
	}
}

// Location returns the server and the number of the database, without the user and the password.
func (c *Client) Location() string {
	o := c.Options()
	if o.Network == "unix" {
		return fmt.Sprintf("unix://%s?db=%d", o.Addr, o.DB)
	}
	return fmt.Sprintf("%s/%d", o.Addr, o.DB)
}

// Unload releases the share. The last one closes the connections.
func (c *Client) Unload() error {
	_, err := clients.Delete(c.Key)
	return err
}

// Destruct closes the connections.
func (c *Client) Destruct() error { return c.Close() }

// CheckPrefix returns the prefix, the default one if it is empty, or an error if it is not valid.
func CheckPrefix(prefix string) (string, error) {
	if strings.ContainsAny(prefix, "{}") {
		return "", errors.New("contains a brace: write it without braces")
	}
	if prefix == "" {
		return DefaultPrefix, nil
	}
	return prefix, nil
}

// ParsePrefix reads a prefix from a Caddyfile, which must not be empty.
var ParsePrefix = caddyfileopt.Parser[string]{Form: "<prefix>", Parse: parsePrefix}

func parsePrefix(arg string) (string, error) {
	if arg == "" {
		return "", errors.New("must not be empty")
	}
	return arg, nil
}

// Probe finds out whether Redis can be used. If Redis refuses, for example because of a wrong password, that is an error. If it cannot be
// reached, that is only logged: Redis may start after the gateway, and the sites beside the gateway must be served meanwhile. Settings with
// which Redis may lose data are logged, too.
func (c *Client) Probe(ctx context.Context, log *slog.Logger) error {
	info, err := c.Info(ctx, "server", "memory", "persistence").Result()
	var refusal redis.Error
	switch {
	case err == nil:
		warn(info, log)
		return nil
	case errors.As(err, &refusal) && strings.HasPrefix(err.Error(), "LOADING"), Unreachable(err):
		log.Error("redis cannot be reached", "error", err, "hint", "start Redis, or correct the URL; the gateway tries again whenever it needs Redis")
		return ctx.Err()
	case errors.As(err, &refusal) && strings.HasPrefix(err.Error(), "NOPERM"):
		return c.ping(ctx) // INFO is not allowed for everybody
	default:
		return fmt.Errorf("redis: %w", cured(err))
	}
}

func (c *Client) ping(ctx context.Context) error {
	if err := c.Ping(ctx).Err(); err != nil && !Unreachable(err) {
		return fmt.Errorf("redis: %w", cured(err))
	}
	return ctx.Err()
}

// cured adds to what Redis answered how to change the URL.
func cured(err error) error {
	for answer, cure := range map[string]string{
		"WRONGPASS":                    "correct the user or the password in the URL",
		"NOAUTH":                       "write the password in the URL, such as redis://:{env.REDIS_PASSWORD}@host:6379/0",
		"ERR DB index is out of range": "write the number of a database that Redis has at the end of the URL",
	} {
		if strings.HasPrefix(err.Error(), answer) {
			return fmt.Errorf("%w: %s", err, cure)
		}
	}
	return err
}

// Unreachable reports whether an error comes from the network, and is not an answer.
func Unreachable(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// MayHaveArrived reports whether Redis may have done what it was asked to do, despite this error. It has not if it refused, or if there was
// no connection.
func MayHaveArrived(err error) bool {
	var refusal redis.Error
	var network *net.OpError
	switch {
	case errors.As(err, &refusal), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted), errors.Is(err, redis.ErrClosed):
		return false
	case errors.As(err, &network):
		return network.Op != "dial"
	default:
		return true
	}
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

// Interface guard
var _ caddy.Destructor = (*Client)(nil)
