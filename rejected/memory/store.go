// Package memory is a store of rejected pushkeys that lives as long as the process. It is bounded, and all configurations share it.
package memory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func init() {
	caddy.RegisterModule(new(Store))
}

// DefaultMaxEntries is how many records the store keeps by default.
const DefaultMaxEntries = 100_000

// Store records rejected pushkeys in memory. The records survive a reload of the configuration, but not a restart. After a restart, the
// gateway sends pushes to dead pushkeys again, until the push service rejects each of them.
type Store struct {
	// How many records are kept. At this limit, each new record replaces the record whose pushkey has had no notification for the longest
	// time. A record takes about 300 bytes. Default: 100000.
	MaxEntries int `json:"max_entries,omitempty"`

	// How long a record is kept after the last notification for its pushkey: a duration such as `90d`, at least one minute. Default: 90d.
	Expire caddy.Duration `json:"expire,omitempty"`

	table *table // kept after Cleanup for the requests still in flight
	held  bool
	key   string           // of the pool; tests have their own
	now   func() time.Time // tests have their own
}

// pool lets all configurations share one table: its records belong to the process. Its size and expiry are those of the newest
// configuration that went live.
var pool = caddy.NewUsagePool()

const poolKey = "matrix_push.rejected.memory"

// CaddyModule returns the module's name and constructor.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_push.rejected.memory", New: func() caddy.Module { return new(Store) }}
}

// Provision sets the defaults and takes a share of the table.
func (s *Store) Provision(caddy.Context) error {
	if s.MaxEntries == 0 {
		s.MaxEntries = DefaultMaxEntries
	}
	if s.Expire == 0 {
		s.Expire = caddy.Duration(rejected.DefaultExpire)
	}
	if s.key == "" {
		s.key = poolKey
	}
	if s.now == nil {
		s.now = time.Now
	}
	v, _, err := pool.LoadOrNew(s.key, func() (caddy.Destructor, error) { return newTable(s.now), nil })
	if err != nil {
		return err
	}
	s.table, s.held = v.(*table), true
	return nil
}

// Validate returns an error for bounds that are not valid.
func (s *Store) Validate() error {
	if s.MaxEntries < 0 {
		return fmt.Errorf("max_entries: %d is negative: use a number above 0", s.MaxEntries)
	}
	if time.Duration(s.Expire) < time.Minute {
		return errors.New("expire: must be at least 1m")
	}
	return nil
}

// Open applies the configuration, which went live, to the table.
func (s *Store) Open(context.Context) error {
	if !s.held {
		return rejected.ErrNotOpen
	}
	return s.table.open(s)
}

// Cleanup releases its share of the table. The settings of the newest other configuration apply again.
func (s *Store) Cleanup() error {
	if !s.held {
		return nil
	}
	s.held = false
	s.table.release(s)
	_, err := pool.Delete(s.key)
	return err
}

// Lookup fills in the marks of the keys.
func (s *Store) Lookup(_ context.Context, keys []rejected.Key, marks []rejected.Mark) error {
	if s.table == nil {
		clear(marks)
		return rejected.ErrNotOpen
	}
	return s.table.lookup(keys, marks)
}

// LookupNow is Lookup.
func (s *Store) LookupNow(keys []rejected.Key, marks []rejected.Mark) bool {
	return s.table != nil && s.table.lookup(keys, marks) == nil
}

// Reject records a verdict. It ends a suspicion.
func (s *Store) Reject(_ context.Context, key rejected.Key, v rejected.Verdict) error {
	if s.table == nil {
		return rejected.ErrNotOpen
	}
	return s.table.reject(key, v)
}

// Suspect records a look that found the pushkey missing.
func (s *Store) Suspect(_ context.Context, key rejected.Key, v rejected.Verdict) (rejected.Suspicion, error) {
	if s.table == nil {
		return rejected.Suspicion{}, rejected.ErrNotOpen
	}
	return s.table.suspect(key, v)
}

// Acquit ends a suspicion.
func (s *Store) Acquit(_ context.Context, key rejected.Key) error {
	if s.table == nil {
		return rejected.ErrNotOpen
	}
	return s.table.acquit(key)
}

// Get returns the record of a key.
func (s *Store) Get(_ context.Context, key rejected.Key) (rejected.Record, error) {
	if s.table == nil {
		return rejected.Record{}, rejected.ErrNotOpen
	}
	return s.table.get(key)
}

// Forget removes a record.
func (s *Store) Forget(_ context.Context, key rejected.Key) error {
	if s.table == nil {
		return rejected.ErrNotOpen
	}
	return s.table.forget(key)
}

// List returns a page of the records in the order of their keys.
func (s *Store) List(_ context.Context, q rejected.Query) (page []rejected.Entry, next string, err error) {
	if s.table == nil {
		return nil, "", rejected.ErrNotOpen
	}
	return s.table.list(q)
}

// Len returns how many records there are, including expired ones that were not asked for since.
func (s *Store) Len() int {
	if s.table == nil {
		return 0
	}
	return s.table.len()
}

// Interface guards
var (
	_ caddy.Provisioner  = (*Store)(nil)
	_ caddy.Validator    = (*Store)(nil)
	_ caddy.CleanerUpper = (*Store)(nil)
	_ rejected.Store     = (*Store)(nil)
	_ rejected.Opener    = (*Store)(nil)
	_ rejected.Prompt    = (*Store)(nil)
	_ rejected.Lister    = (*Store)(nil)
	_ rejected.Sizer     = (*Store)(nil)
)
