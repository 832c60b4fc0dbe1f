// Package file is a store of rejected pushkeys in one file on disk. Everything that decides is in memory, so a lookup never touches the
// disk. The exception is the first seconds with a file of millions of records, while they are loaded.
//
//	Store     the module: one in each configuration
//	database  the open file, shared through a pool by all configurations that name it
//	index     the marks in memory, and the lookups that are not yet written
//	loading   fills the index while the gateway already answers
package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/internal/tenancy"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func init() {
	caddy.RegisterModule(new(Store))
}

const (
	defaultMaxEntries = 10_000_000
	// minMaxEntries still leaves each shard its part.
	minMaxEntries = 10_000
)

// Store records rejected pushkeys in a database file. The file contains hashes, app patterns, reasons and times, but never a pushkey. Only
// one process at a time can open it.
type Store struct {
	// The path of the database file. The gateway creates the file and its directory if they don't exist. A relative path is relative to the
	// working directory of the process. Placeholders such as `{env.NAME}` are resolved while the configuration loads. Default:
	// `matrix_push/rejected.db` in Caddy's data directory.
	Path string `json:"path,omitempty"`

	// How long a record is kept after the last notification for its pushkey: a duration such as `90d`, at least one minute. Default: 90d.
	Expire caddy.Duration `json:"expire,omitempty"`

	// About how many records the store keeps: at least 10000. At this limit, each new record replaces another one, if possible one that was
	// not needed lately. The gateway then no longer knows that the replaced record's pushkey was rejected, and sends its next push to the push
	// service. The limit exists because anyone who runs a push server can make it report any number of pushkeys as dead. A record takes about
	// 45 bytes of memory and 100 bytes of the file. Default: 10000000.
	MaxEntries int `json:"max_entries,omitempty"`

	log   *slog.Logger
	db    *database // kept after Cleanup for the requests still in flight
	held  bool
	clock clock // tests have their own
}

// pool lets configurations that name the same file share it. The key is only the absolute path, so a change of another option never opens a
// file twice.
var pool = caddy.NewUsagePool()

// CaddyModule returns the module's name and constructor.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.rejected.file", New: func() caddy.Module { return new(Store) }}
}

// Provision sets the defaults and takes a share of the database. It opens no file, so `caddy validate` works beside a running server.
func (s *Store) Provision(ctx caddy.Context) error {
	s.log = ctx.Slogger()
	if s.Expire == 0 {
		s.Expire = caddy.Duration(rejected.DefaultExpire)
	}
	if time.Duration(s.Expire) < time.Minute {
		return errors.New("expire: must be at least 1m")
	}
	if s.MaxEntries == 0 {
		s.MaxEntries = defaultMaxEntries
	}
	if s.MaxEntries < minMaxEntries {
		return fmt.Errorf("max_entries: must be at least %d", minMaxEntries)
	}
	path, err := boltfile.Resolve(s.Path, "rejected.db")
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	s.db, _ = tenancy.Join(pool, path, func() *database { return newDatabase(path, s.clock) })
	s.held = true
	return nil
}

// Open opens the file unless another configuration has opened it, and applies this configuration's settings. A large file is loaded in the
// background. Until then, lookups ask the file.
func (s *Store) Open(ctx context.Context) error {
	if !s.held {
		return rejected.ErrNotOpen
	}
	if err := s.db.Open(ctx, s, s.log, func() { s.db.apply(s) }); err != nil {
		return fmt.Errorf("rejected store: %w", err)
	}
	return nil
}

// Location returns the path of the file.
func (s *Store) Location() string { return s.db.path }

// CheckOpen returns why Open would fail. It only reads the file.
func (s *Store) CheckOpen(context.Context) error {
	switch {
	case !s.held:
		return rejected.ErrNotOpen
	case s.db.Opened():
		return nil
	}
	err := boltfile.Check(s.db.path, s.log)
	if errors.Is(err, boltfile.ErrInUse) {
		return rejected.ErrInUse
	}
	return err
}

// Cleanup releases its share of the database. The last one closes the file.
func (s *Store) Cleanup() error {
	if !s.held {
		return nil
	}
	s.held = false
	return s.db.Leave(s)
}

// Lookup fills in the marks of the keys, from memory if they are loaded.
func (s *Store) Lookup(ctx context.Context, keys []rejected.Key, marks []rejected.Mark) error {
	if s.db == nil {
		clear(marks)
		return rejected.ErrNotOpen
	}
	return s.db.lookup(ctx, keys, marks)
}

// LookupNow is Lookup from memory, once the keys are loaded.
func (s *Store) LookupNow(keys []rejected.Key, marks []rejected.Mark) bool {
	return s.db != nil && s.db.lookupNow(keys, marks)
}

// Reject records a verdict, and returns when it is on disk. It ends a suspicion. If the write fails, the pushkey is still rejected until
// the process ends. A write that has begun continues after the context is done.
func (s *Store) Reject(ctx context.Context, key rejected.Key, v rejected.Verdict) error {
	if s.db == nil {
		return rejected.ErrNotOpen
	}
	return s.db.reject(ctx, key, v)
}

// Suspect records a look, and returns when it is on disk. If the write fails, the look does not count. A write that has begun continues
// after the context is done.
func (s *Store) Suspect(ctx context.Context, key rejected.Key, v rejected.Verdict) (rejected.Suspicion, error) {
	if s.db == nil {
		return rejected.Suspicion{}, rejected.ErrNotOpen
	}
	return s.db.suspect(ctx, key, v)
}

// Acquit ends a suspicion, and returns when that is on disk. Without a suspicion, it does not touch the disk once the records are loaded. A
// write that has begun continues after the context is done.
func (s *Store) Acquit(ctx context.Context, key rejected.Key) error {
	if s.db == nil {
		return rejected.ErrNotOpen
	}
	return s.db.acquit(ctx, key)
}

// Get returns the record of a key.
func (s *Store) Get(ctx context.Context, key rejected.Key) (rejected.Record, error) {
	if s.db == nil {
		return rejected.Record{}, rejected.ErrNotOpen
	}
	return s.db.get(ctx, key)
}

// Forget removes a record, and returns when it is gone from the disk. A write that has begun continues after the context is done.
func (s *Store) Forget(ctx context.Context, key rejected.Key) error {
	if s.db == nil {
		return rejected.ErrNotOpen
	}
	return s.db.forget(ctx, key)
}

// List returns a page of the records on disk, in the order of their keys. Verdicts that could not be written are not among them.
func (s *Store) List(ctx context.Context, q rejected.Query) (page []rejected.Entry, next string, err error) {
	if s.db == nil {
		return nil, "", rejected.ErrNotOpen
	}
	return s.db.list(ctx, q)
}

// Migrated reports whether the file notes that its records went through a change.
func (s *Store) Migrated(ctx context.Context, change string) (bool, error) {
	if s.db == nil {
		return false, rejected.ErrNotOpen
	}
	return s.db.migrated(ctx, change)
}

// NoteMigrated notes a change, and returns when that is on disk. A write that has begun continues after the context is done.
func (s *Store) NoteMigrated(ctx context.Context, change string) error {
	if s.db == nil {
		return rejected.ErrNotOpen
	}
	return s.db.noteMigrated(ctx, change)
}

// Len returns how many records there are, including expired ones that are not yet swept. While the file is being loaded, it returns how
// many are in memory: counting the others would take as long as loading them.
func (s *Store) Len() int {
	if s.db == nil {
		return 0
	}
	return s.db.index.len()
}

// Interface guards
var (
	_ caddy.Provisioner    = (*Store)(nil)
	_ caddy.CleanerUpper   = (*Store)(nil)
	_ rejected.Store       = (*Store)(nil)
	_ rejected.Opener      = (*Store)(nil)
	_ rejected.Located     = (*Store)(nil)
	_ rejected.Prompt      = (*Store)(nil)
	_ rejected.Lister      = (*Store)(nil)
	_ rejected.Sizer       = (*Store)(nil)
	_ rejected.Migrator    = (*Store)(nil)
	_ caddy.Provisioner    = (*Store)(nil)
	_ caddy.CleanerUpper   = (*Store)(nil)
	_ rejected.Store       = (*Store)(nil)
	_ rejected.Opener      = (*Store)(nil)
	_ rejected.OpenChecker = (*Store)(nil)
	_ rejected.Prompt      = (*Store)(nil)
	_ rejected.Lister      = (*Store)(nil)
	_ rejected.Sizer       = (*Store)(nil)
	_ rejected.Migrator    = (*Store)(nil)
)
