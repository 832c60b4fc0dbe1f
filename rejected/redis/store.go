// Package redis is the store of rejected pushkeys that any number of gateways share, in Redis.
//
//	Store  the module: one in each configuration
//	shelf  what a process has of the store, shared through a pool by all configurations that name it
//	front  in memory: the marks that were asked for in the last seconds
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func init() {
	caddy.RegisterModule(Store{})
}

// Store remembers rejected pushkeys in Redis, for all gateways with the same `url` and `prefix`. It holds hashes, the patterns of
// apps, reasons and times, never a pushkey.
//
// A request asks Redis once for all its devices, for at most a tenth of a second. Without an answer nothing is rejected, and the push
// goes to the provider, which says the same again. What one gateway learns, the others know with their next request. A pushkey that one
// forgets, the others may go on rejecting for 5 s.
type Store struct {
	// URL is that of a Redis or Valkey from version 6.2 on: `redis://user:password@host:6379/0`, `rediss://…` for TLS, or
	// `unix:///path/redis.sock?db=0`. Timeouts can be given, as in `?dial_timeout=1s&read_timeout=500ms`, which are the defaults. Placeholders
	// such as `{env.NAME}` or `{file./path}` are replaced while loading. It has to be one primary, not a Redis Cluster of several
	// shards. Required.
	URL string `json:"url,omitempty"`

	// Prefix is what the keys in Redis begin with, in braces. Gateways that share a store have the same. Default: `matrix_push`.
	Prefix string `json:"prefix,omitempty"`

	// Expire is how long a record is kept after a notification last asked for it, as a duration such as `90d`; at least a
	// minute. That it was asked for is written down hourly, so that it may go up to an hour early. Default: 90d.
	Expire caddy.Duration `json:"expire,omitempty"`

	log     *slog.Logger
	shelf   *shelf // kept after Cleanup for the requests still in flight
	held    bool
	gateway string           // tests have several in one process
	now     func() time.Time // tests have their own
}

// CaddyModule returns the module's name and constructor.
func (Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.rejected.redis", New: func() caddy.Module { return new(Store) }}
}

// Provision sets the defaults and takes a share of the connections. It connects to nothing.
func (s *Store) Provision(ctx caddy.Context) error {
	s.log = ctx.Slogger()
	if s.URL == "" {
		return errors.New("url: is required")
	}
	if s.Expire == 0 {
		s.Expire = caddy.Duration(rejected.DefaultExpire)
	}
	if time.Duration(s.Expire) < time.Minute {
		return errors.New("expire: must be at least a minute")
	}
	if s.now == nil {
		s.now = time.Now
	}
	prefix, err := redisclient.CheckPrefix(s.Prefix)
	if err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	if s.shelf, err = share(s.URL, prefix, s.gateway, s.now); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	s.held = true
	return nil
}

// Open asks Redis whether it can be used. That it refuses is an error; that it does not answer is logged, and tried again.
func (s *Store) Open(ctx context.Context) error {
	if !s.held {
		return rejected.ErrNotOpen
	}
	return s.shelf.Open(ctx, s, s.log)
}

// Cleanup gives the share back. The last one out writes down what was seen.
func (s *Store) Cleanup() error {
	if !s.held {
		return nil
	}
	s.held = false
	return s.shelf.Leave(s)
}

// Lookup fills in the marks of the keys, from memory where that knows all of them, or else with one question to Redis.
func (s *Store) Lookup(ctx context.Context, keys []rejected.Key, marks []rejected.Mark) error {
	clear(marks)
	if s.shelf == nil {
		return rejected.ErrNotOpen
	}
	err := s.shelf.lookup(ctx, keys, marks, time.Duration(s.Expire))
	if err != nil {
		clear(marks)
	}
	return err
}

// Reject records a verdict and returns when Redis has it. It ends a suspicion.
func (s *Store) Reject(ctx context.Context, key rejected.Key, v rejected.Verdict) error {
	if s.shelf == nil {
		return rejected.ErrNotOpen
	}
	return s.shelf.reject(ctx, key, v, time.Duration(s.Expire))
}

// Suspect records a look and returns when Redis has it. The looks of all gateways count together.
func (s *Store) Suspect(ctx context.Context, key rejected.Key, v rejected.Verdict) (rejected.Suspicion, error) {
	if s.shelf == nil {
		return rejected.Suspicion{}, rejected.ErrNotOpen
	}
	return s.shelf.suspect(ctx, key, v, time.Duration(s.Expire))
}

// Acquit ends a suspicion and returns when it is gone from Redis.
func (s *Store) Acquit(ctx context.Context, key rejected.Key) error {
	if s.shelf == nil {
		return rejected.ErrNotOpen
	}
	return s.shelf.acquit(ctx, key, time.Duration(s.Expire))
}

// Get returns what is known of a key.
func (s *Store) Get(ctx context.Context, key rejected.Key) (rejected.Record, error) {
	if s.shelf == nil {
		return rejected.Record{}, rejected.ErrNotOpen
	}
	return s.shelf.get(ctx, key, time.Duration(s.Expire))
}

// Forget removes a record and returns when it is gone from Redis. Other gateways may go on rejecting for 5 s.
func (s *Store) Forget(ctx context.Context, key rejected.Key) error {
	if s.shelf == nil {
		return rejected.ErrNotOpen
	}
	return s.shelf.forget(ctx, key)
}

// Delivered notes for all gateways that a host took a push, for 48 hours.
func (s *Store) Delivered(ctx context.Context, host rejected.Key, at time.Time) error {
	if s.shelf == nil {
		return rejected.ErrNotOpen
	}
	return s.shelf.delivered(ctx, host, at)
}

// LastDelivered is when a host last took a push of any gateway, if that was within 48 hours.
func (s *Store) LastDelivered(ctx context.Context, host rejected.Key) (time.Time, error) {
	if s.shelf == nil {
		return time.Time{}, rejected.ErrNotOpen
	}
	return s.shelf.lastDelivered(ctx, host)
}

// Migrated reports whether it is noted in Redis that the records went through a change.
func (s *Store) Migrated(ctx context.Context, change string) (bool, error) {
	if s.shelf == nil {
		return false, rejected.ErrNotOpen
	}
	return s.shelf.migrated(ctx, change)
}

// NoteMigrated notes a change for all gateways.
func (s *Store) NoteMigrated(ctx context.Context, change string) error {
	if s.shelf == nil {
		return rejected.ErrNotOpen
	}
	return s.shelf.noteMigrated(ctx, change)
}

// List returns a page of the records, in no order, as they are in Redis. It takes at most 5 s.
func (s *Store) List(ctx context.Context, q rejected.Query) (page []rejected.Entry, next string, err error) {
	if s.shelf == nil {
		return nil, "", rejected.ErrNotOpen
	}
	return s.shelf.list(ctx, q, time.Duration(s.Expire))
}

// Interface guards. A rejected.Sizer this is not: Redis counts all of its keys at once, but those with a prefix only by walking through
// all of them, and a counter of our own would not notice what Redis lets expire.
var (
	_ caddy.Provisioner  = (*Store)(nil)
	_ caddy.CleanerUpper = (*Store)(nil)
	_ rejected.Store     = (*Store)(nil)
	_ rejected.Opener    = (*Store)(nil)
	_ rejected.Lister    = (*Store)(nil)
	_ rejected.Witness   = (*Store)(nil)
	_ rejected.Migrator  = (*Store)(nil)
)
