package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/rejectedtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	rejectedtest.Run(t, rejectedtest.Harness{
		New: func(t *testing.T, now func() time.Time) rejected.Store {
			return opened(t, &Store{Path: tempPath(t), clock: clock{now: now}})
		},
		Unopened: func(t *testing.T) rejected.Store { return provision(t, &Store{Path: tempPath(t)}) },
		Close:    func(t *testing.T, s rejected.Store) { cleanup(t, s.(*Store)) },
		Reopen: func(t *testing.T, s rejected.Store) rejected.Store {
			old := s.(*Store)
			cleanup(t, old)
			return opened(t, &Store{Path: old.Path, clock: old.clock})
		},
		Elapsed: func(t *testing.T, s rejected.Store, _ time.Duration) {
			if err := s.(*Store).db.sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		Stalling: func(t *testing.T, now func() time.Time) (rejected.Store, func() func()) {
			s := opened(t, &Store{Path: tempPath(t), clock: clock{now: now}})
			return s, func() func() { return stall(s) }
		},
	})
}

// stall makes the disk of an open store hang until goOn is called.
func stall(s *Store) (goOn func()) {
	works := make(chan struct{})
	held := func(run func(func(*bbolt.Tx) error) error) func(func(*bbolt.Tx) error) error {
		return func(fn func(*bbolt.Tx) error) error {
			<-works
			return run(fn)
		}
	}
	s.db.write, s.db.read = held(s.db.write), held(s.db.read)
	return func() { close(works) }
}

// tempPath returns a path in a directory that does not exist yet.
func tempPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "matrix_push", "rejected.db")
}

var stores = storetest.Fixture[*Store]{Before: func(s *Store) {
	if s.clock.after == nil {
		s.clock.after = patient
	}
}}

var (
	tryProvision, provision, opened = stores.TryProvision, stores.Provision, stores.Opened
	cleanup                         = storetest.Cleanup
)

// patient waits for loading, however long it takes.
func patient(d time.Duration) <-chan time.Time {
	if d == patience {
		return nil
	}
	return time.After(d)
}

// impatient does not wait for loading at all.
func impatient(d time.Duration) <-chan time.Time {
	if d == patience {
		return over
	}
	return nil
}

// over is a timer that has ended.
var over = func() chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

// testClock stands still until it is moved, and the test ends its waiting.
type testClock struct {
	mu    sync.Mutex
	at    time.Time
	waits chan time.Duration
	ticks chan time.Time
	// enough ends the patience with loading; nil means endless patience.
	enough chan time.Time
}

func newTestClock() *testClock {
	return &testClock{
		at:    time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		waits: make(chan time.Duration, 100),
		ticks: make(chan time.Time),
	}
}

func (c *testClock) clock() clock {
	return clock{now: c.now, after: func(d time.Duration) <-chan time.Time {
		if d == patience {
			return c.enough
		}
		c.waits <- d
		return c.ticks
	}}
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func key(n int) rejected.Key { return rejected.KeyOf("org.example.app", fmt.Sprint(n)) }

func verdict(s *Store) rejected.Verdict {
	return rejected.Verdict{Reason: "gone", PushkeyTS: 5000, At: s.db.clock.now()}
}

func reject(t *testing.T, s *Store, n int) {
	t.Helper()
	if err := s.Reject(t.Context(), key(n), verdict(s)); err != nil {
		t.Fatalf("Reject: %v", err)
	}
}

func known(t *testing.T, s *Store, n int) bool {
	t.Helper()
	marks := make([]rejected.Mark, 1)
	if err := s.Lookup(t.Context(), []rejected.Key{key(n)}, marks); err != nil {
		t.Fatalf("Lookup: %v", err)
	}
	return marks[0] != rejected.Mark{}
}

func wantNoFile(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s exists (%v)", path, err)
	}
}
