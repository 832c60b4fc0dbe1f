// Package redisclient has the connections to Redis that the outbox and the rejected store share.
//
// It talks to one primary: a Redis or Valkey from version 6.2 on, by itself or behind something that follows a failover. The keys all
// have the same hash tag, so that a cluster of one shard does as well; a cluster client, which Redis Cluster with several needs, this is
// not.
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
)

const (
	// DefaultPrefix is what keys begin with if the configuration does not say.
	DefaultPrefix = "matrix_push"

	// A push waits for Redis, so that one which does not answer must not take long. The URL can say otherwise, for example
	// ?read_timeout=2s.
	dialTimeout = time.Second
	ioTimeout   = 500 * time.Millisecond
	poolTimeout = time.Second // how long to wait for one of the connections
)

// Client is a pool of connections to one Redis, shared by all who name the same URL.
type Client struct {
	*redis.Client
	// Key stands for the URL and is no secret.
	Key string
}

var clients = caddy.NewUsagePool()

var errURL = errors.New("is not redis://user:password@host:6379/0, rediss://… (TLS) or unix:///path/redis.sock?db=0; " +
	"special characters of a password are percent-encoded")

// Load takes a share of the connections to the Redis of a URL, in which placeholders are replaced. It connects to nothing. No error
// shows the URL: there may be a password in it.
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

// parse reads a URL. What net/url and go-redis say of a wrong one would quote it.
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
	// There is one layer that tries again, and it is not this one.
	options.MaxRetries = -1
	options.DialerRetries = 1
	// Nothing but the commands of this program.
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

// Unload gives the share back. The last one closes the connections.
func (c *Client) Unload() error {
	_, err := clients.Delete(c.Key)
	return err
}

// Destruct closes the connections.
func (c *Client) Destruct() error { return c.Close() }

// CheckPrefix says what is wrong with a prefix, or returns the default one for none.
func CheckPrefix(prefix string) (string, error) {
	if strings.ContainsAny(prefix, "{}") {
		return "", errors.New("has a brace")
	}
	if prefix == "" {
		return DefaultPrefix, nil
	}
	return prefix, nil
}

// ParsePrefix reads a prefix that is given in a Caddyfile: it is not empty.
func ParsePrefix(arg string) (string, error) {
	if arg == "" {
		return "", errors.New(`"" is no prefix`)
	}
	return arg, nil
}

// Probe finds out whether Redis can be used. What it refuses, such as a wrong password, is an error. That it cannot be reached is not:
// it may start after the gateway, and the sites next to it have to be served meanwhile. That is logged, and so are settings of
// Redis with which it loses what it was told.
func (c *Client) Probe(ctx context.Context, log *slog.Logger) error {
	info, err := c.Info(ctx, "server", "memory", "persistence").Result()
	var refusal redis.Error
	switch {
	case err == nil:
		warn(info, log)
		return nil
	case errors.As(err, &refusal) && strings.HasPrefix(err.Error(), "LOADING"), Unreachable(err):
		log.Error("redis cannot be reached; it is tried again whenever it is needed", "error", err)
		return ctx.Err()
	case errors.As(err, &refusal) && strings.HasPrefix(err.Error(), "NOPERM"):
		return c.ping(ctx) // INFO is not for everybody
	default:
		return fmt.Errorf("redis: %w", err)
	}
}

func (c *Client) ping(ctx context.Context) error {
	if err := c.Ping(ctx).Err(); err != nil && !Unreachable(err) {
		return fmt.Errorf("redis: %w", err)
	}
	return ctx.Err()
}

// Unreachable says whether an error is one of the network, and not an answer.
func Unreachable(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// MayHaveArrived reports whether Redis may have done what it was asked for, although there was this error: not if it refused, or if there
// was no connection to ask it through.
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

// warn tells of settings with which Redis loses what it was told.
func warn(info string, log *slog.Logger) {
	if strings.Contains(info, "\r\naof_enabled:0\r\n") {
		log.Warn("redis keeps no append-only file: when it restarts, it has lost what was accepted since its last snapshot",
			"remedy", "appendonly yes")
	}
	if strings.Contains(info, "\r\nmaxmemory_policy:") && !strings.Contains(info, "\r\nmaxmemory_policy:noeviction\r\n") &&
		!strings.Contains(info, "\r\nmaxmemory:0\r\n") {
		log.Warn("redis may throw away what was accepted when its memory is full", "remedy", "maxmemory-policy noeviction")
	}
}

// Interface guard
var _ caddy.Destructor = (*Client)(nil)
