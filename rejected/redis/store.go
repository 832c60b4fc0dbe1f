// Package redis is the store of rejected pushkeys in Redis, which any number of gateways share.
//
//	Store  the module: one in each configuration
//	shelf  a process's part of the store, shared through a pool by all configurations that name it
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
	caddy.RegisterModule(new(Store))
}

// Store records rejected pushkeys in Redis. All gateways with the same address and `prefix` share the records. Redis contains hashes, app
// patterns, reasons and times, but never a pushkey.
//
// For each request, the gateway makes at most one query to each shard, which covers all of the request's devices in that shard. It waits at most 100 ms for
// the answer. If Redis does not answer, the gateway continues as if there were no records. It then sends pushes even for dead pushkeys,
// and the push service rejects these pushkeys once more. When one gateway records a rejected pushkey, the other gateways use the record
// as soon as they handle their next request. When one gateway deletes a record, the others may still reject the pushkey for up to 5 s.
type Store struct {
	redisclient.Address

	// The prefix of all keys in Redis. Each key begins with the prefix in braces, such as `{matrix_push}`. Gateways that share a store must
	// have the same prefix. Default: `matrix_push`.
	Prefix string `json:"prefix,omitempty"`

	// Into how many shards the records are divided, from 1 to 1024. Each shard has a separate part of the keys, which begin with
	// `{matrix_push:0}`, `{matrix_push:1}` and so on. With one shard, they begin with `{matrix_push}`. A server of a Redis Cluster has some of
	// the shards. Gateways that share a store must have the same number. After a change of the number, the gateway does not find the earlier
	// records. It then sends one push to each dead pushkey again, and learns that it is dead. Default: 16 with `cluster`, otherwise 1.
	Shards int `json:"shards,omitempty"`

	// How long a record is kept after the last notification for its pushkey: a duration such as `90d`, at least one minute. The gateway
	// updates the time of the last notification at most once an hour for each pushkey, so a record may expire up to an hour early. With an
	// `expire` under 4h, it updates the time after a quarter of `expire`. Default: 90d.
	Expire caddy.Duration `json:"expire,omitempty"`

	log     *slog.Logger
	shelf   *shelf // kept after Cleanup for the requests still in flight
	held    bool
	gateway string           // tests have several in one process
	now     func() time.Time // tests have their own
}

// CaddyModule returns the module's name and constructor.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.rejected.redis", New: func() caddy.Module { return new(Store) }}
}

// Provision sets the defaults and takes a share of the connections. It does not connect to Redis.
func (s *Store) Provision(ctx caddy.Context) error {
	s.log = ctx.Slogger()
	if s.Expire == 0 {
		s.Expire = caddy.Duration(rejected.DefaultExpire)
	}
	if time.Duration(s.Expire) < time.Minute {
		return errors.New("expire: must be at least 1m")
	}
	if s.now == nil {
		s.now = time.Now
	}
	prefix, err := redisclient.CheckPrefix(s.Prefix)
	if err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	if err := redisclient.CheckShards(s.Shards); err != nil {
		return fmt.Errorf("shards: %w", err)
	}
	if s.shelf, err = share(s.Address, prefix, s.shards(), s.gateway, s.now); err != nil {
		return err
	}
	s.held = true
	return nil
}

// Open checks whether Redis can be used. If Redis refuses, that is an error. If it does not answer, Open logs that, and Redis is tried
// again later.
func (s *Store) Open(ctx context.Context) error {
	if !s.held {
		return rejected.ErrNotOpen
	}
	s.WarnShards(s.shards(), s.log)
	return s.shelf.Open(ctx, s, s.log, nil)
}

// shards returns the number of shards.
func (s *Store) shards() int { return s.Address.Shards(s.Shards) }

// Location returns the addresses and the database, without users and passwords.
func (s *Store) Location() string { return s.shelf.Client.Location() }

// Failovers returns how often a primary was replaced or restarted.
func (s *Store) Failovers() (n int, last time.Time) { return s.shelf.Client.Failovers() }

// Describe describes the servers.
func (s *Store) Describe(ctx context.Context) []string { return s.shelf.Describe(ctx, nil) }

// Check asks Redis whether it can be used.
func (s *Store) Check(ctx context.Context) error {
	if !s.held {
		return rejected.ErrNotOpen
	}
	return s.shelf.Check(ctx, s.log, rejected.ErrUnreachable)
}

// Cleanup releases its share. The last one writes what was seen.
func (s *Store) Cleanup() error {
	if !s.held {
		return nil
	}
	s.held = false
	return s.shelf.Leave(s)
}

// Lookup fills in the marks of the keys, from memory or with one request to each shard that has others.
func (s *Store) Lookup(ctx context.Context, keys []rejected.Key, marks []rejected.Mark) error {
	clear(marks)
	if s.shelf == nil {
		return rejected.ErrNotOpen
	}
	return s.shelf.lookup(ctx, keys, marks, time.Duration(s.Expire))
}

// Reject records a verdict, and returns when Redis has it. It ends a suspicion.
func (s *Store) Reject(ctx context.Context, key rejected.Key, v rejected.Verdict) error {
	if s.shelf == nil {
		return rejected.ErrNotOpen
	}
	return s.shelf.reject(ctx, key, v, time.Duration(s.Expire))
}

// Suspect records a look, and returns when Redis has it. The looks of all gateways are counted together.
func (s *Store) Suspect(ctx context.Context, key rejected.Key, v rejected.Verdict) (rejected.Suspicion, error) {
	if s.shelf == nil {
		return rejected.Suspicion{}, rejected.ErrNotOpen
	}
	return s.shelf.suspect(ctx, key, v, time.Duration(s.Expire))
}

// Acquit ends a suspicion, and returns when it is gone from Redis.
func (s *Store) Acquit(ctx context.Context, key rejected.Key) error {
	if s.shelf == nil {
		return rejected.ErrNotOpen
	}
	return s.shelf.acquit(ctx, key, time.Duration(s.Expire))
}

// Get returns the record of a key.
func (s *Store) Get(ctx context.Context, key rejected.Key) (rejected.Record, error) {
	if s.shelf == nil {
		return rejected.Record{}, rejected.ErrNotOpen
	}
	return s.shelf.get(ctx, key, time.Duration(s.Expire))
}

// Forget removes a record, and returns when it is gone from Redis. Other gateways may reject the pushkey for another 5 s.
func (s *Store) Forget(ctx context.Context, key rejected.Key) error {
	if s.shelf == nil {
		return rejected.ErrNotOpen
	}
	return s.shelf.forget(ctx, key)
}

// Delivered records for all gateways that a host took a push. They remember it for 48 hours.
func (s *Store) Delivered(ctx context.Context, host rejected.Key, at time.Time) error {
	if s.shelf == nil {
		return rejected.ErrNotOpen
	}
	return s.shelf.delivered(ctx, host, at)
}

// LastDelivered returns when a host last took a push of any gateway, if that was within 48 hours.
func (s *Store) LastDelivered(ctx context.Context, host rejected.Key) (time.Time, error) {
	if s.shelf == nil {
		return time.Time{}, rejected.ErrNotOpen
	}
	return s.shelf.lastDelivered(ctx, host)
}

// Migrated reports whether Redis notes that the records went through a change.
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

// List returns a page of the records in Redis, in no order. It takes at most 5 s.
func (s *Store) List(ctx context.Context, q rejected.Query) (page []rejected.Entry, next string, err error) {
	if s.shelf == nil {
		return nil, "", rejected.ErrNotOpen
	}
	return s.shelf.list(ctx, q, time.Duration(s.Expire))
}

// Interface guards. Store does not implement rejected.Sizer. Redis can count all of its keys at once, but those with a prefix only by a
// walk through all of them. A separate counter would not notice records that Redis expires.
var (
	_ caddy.Provisioner  = (*Store)(nil)
	_ caddy.CleanerUpper = (*Store)(nil)
	_ rejected.Store     = (*Store)(nil)
	_ rejected.Opener    = (*Store)(nil)
	_ rejected.Located   = (*Store)(nil)
	_ rejected.Checker   = (*Store)(nil)
	_ rejected.Lister    = (*Store)(nil)
	_ rejected.Served    = (*Store)(nil)
	_ rejected.Describer = (*Store)(nil)
	_ rejected.Witness   = (*Store)(nil)
	_ rejected.Migrator  = (*Store)(nil)
)
