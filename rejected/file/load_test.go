package file

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/rejectedtest"
)

// uncounted is a store without Len: while the file is being loaded, it does not know how many records there are.
type uncounted struct {
	rejected.Store
	rejected.Lister
	rejected.Opener
}

func TestConformanceWhileLoading(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]int{"nothing is loaded": 0, "half is loaded": shards / 2} {
		provisioned := func(t *testing.T, path string, c clock) (s *Store, reached chan struct{}) {
			c.after = impatient
			s, reached = provision(t, &Store{Path: path, clock: c}), make(chan struct{})
			s.db.step = func(ctx context.Context, step step, shard int) {
				if step == toRead && shard == stop {
					close(reached)
					<-ctx.Done()
				}
			}
			return s, reached
		}
		open := func(t *testing.T, path string, c clock) rejected.Store {
			s, reached := provisioned(t, path, c)
			if err := s.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-reached
			return uncounted{s, s, s}
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rejectedtest.Run(t, rejectedtest.Harness{
				New: func(t *testing.T, now func() time.Time) rejected.Store { return open(t, tempPath(t), clock{now: now}) },
				Unopened: func(t *testing.T) rejected.Store {
					s, _ := provisioned(t, tempPath(t), clock{})
					return uncounted{s, s, s}
				},
				Close: func(t *testing.T, s rejected.Store) { cleanup(t, s.(uncounted).Store.(*Store)) },
				Reopen: func(t *testing.T, s rejected.Store) rejected.Store {
					old := s.(uncounted).Store.(*Store)
					cleanup(t, old)
					return open(t, old.Path, old.clock)
				},
				Elapsed: func(t *testing.T, s rejected.Store, _ time.Duration) {
					if err := s.(uncounted).Store.(*Store).db.sweep(t.Context()); err != nil {
						t.Fatal(err)
					}
				},
				Stalling: func(t *testing.T, now func() time.Time) (rejected.Store, func() func()) {
					s := open(t, tempPath(t), clock{now: now})
					return s, func() func() { return stall(s.(uncounted).Store.(*Store)) }
				},
			})
		})
	}
}

func TestALargeFileAnswersBeforeItIsLoaded(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	h := openHeld(t, filled(t, 100, c), c)
	for n := range 200 {
		if got, want := known(t, h.Store, n), n < 100; got != want {
			t.Errorf("record %d is known: %v, want %v", n, got, want)
		}
	}
	if n := h.Len(); n != 0 {
		t.Errorf("%d records are counted, but none is loaded", n)
	}
	if n := len(c.waits); n != 0 {
		t.Error("the sweeper runs during loading")
	}
	h.loadAll()
	for n := range 200 {
		if got, want := known(t, h.Store, n), n < 100; got != want {
			t.Errorf("after loading, record %d is known: %v, want %v", n, got, want)
		}
	}
	if n := h.Len(); n != 100 {
		t.Errorf("%d records are loaded, want 100", n)
	}
	if log := h.log.String(); log != "" {
		t.Errorf("logged %s", log)
	}
}

func TestALookupOfWhatIsLoadedAllocatesNothing(t *testing.T) {
	s := opened(t, &Store{Path: tempPath(t)})
	reject(t, s, 1)
	keys, marks := []rejected.Key{key(1), key(2)}, make([]rejected.Mark, 2)
	if n := testing.AllocsPerRun(100, func() { _ = s.db.lookup(t.Context(), keys, marks) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestARecordThatExpiredOnDiskIsNotThere(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	path := filled(t, 3, c)
	c.add(rejected.DefaultExpire)
	h := openHeld(t, path, c)
	if known(t, h.Store, 1) {
		t.Error("it is known before it is loaded")
	}
	if err := h.Reject(t.Context(), key(2), verdict(h.Store)); err != nil {
		t.Fatal(err)
	}
	if r, err := h.Get(t.Context(), key(2)); err != nil || !r.FirstSeen.Equal(c.now()) {
		t.Errorf("Get: %+v, %v; want a new record", r, err)
	}
	if _, err := h.Get(t.Context(), key(1)); !errors.Is(err, rejected.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	h.loadAll()
	if known(t, h.Store, 1) || !known(t, h.Store, 2) || h.Len() != 1 {
		t.Errorf("after loading: %v, %v, %d records; want only the new one", known(t, h.Store, 1), known(t, h.Store, 2), h.Len())
	}
}

func TestClosingEndsLoadingAndWritesDownWhatWasSeen(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]step{"between two shards": toRead, "in one": toFill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTestClock()
			h := openHeld(t, filled(t, 10, c), c)
			h.loadTo(step, 7)
			c.add(time.Hour)
			known(t, h.Store, 1)
			cleanup(t, h.Store)
			if n, steps := h.Len(), h.over.Load(); n != 0 || steps > 1 {
				t.Errorf("%d records, but %d steps were still taken", n, steps)
			}
			if err := h.Lookup(t.Context(), []rejected.Key{key(1)}, make([]rejected.Mark, 1)); !errors.Is(err, rejected.ErrNotOpen) {
				t.Errorf("Lookup: %v, want ErrNotOpen", err)
			}
			s := opened(t, &Store{Path: h.Path, clock: clock{now: c.now}})
			if r, err := s.Get(t.Context(), key(1)); err != nil || !r.LastSeen.Equal(c.now()) || s.Len() != 10 {
				t.Errorf("last seen %v, %v; %d records; want %v and all 10", r.LastSeen, err, s.Len(), c.now())
			}
		})
	}
}

func TestAReloadWhileLoadingWaitsForNothing(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	path := filled(t, 10, c)
	s := opened(t, &Store{Path: path, clock: clock{now: c.now}})
	err := s.db.update(func(b *bbolt.Bucket) error { return b.Put([]byte("short"), []byte("x")) })
	if err != nil {
		t.Fatal(err)
	}
	cleanup(t, s)

	old := openHeld(t, path, c)
	var log syncBuffer
	s = provision(t, &Store{Path: path, Expire: caddy.Duration(time.Hour)})
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	if err := s.Open(t.Context()); err != nil || s.db != old.db {
		t.Fatalf("Open: %v; the same database: %v", err, s.db == old.db)
	}
	cleanup(t, old.Store)
	if !known(t, s, 1) || !known(t, old.Store, 1) {
		t.Error("a record is not known to both")
	}
	old.loadAll()
	if s.Len() != 10 || s.db.interval() != 30*time.Minute {
		t.Errorf("%d records, swept every %v", s.Len(), s.db.interval())
	}
	if old.log.String() != "" || !strings.Contains(log.String(), "unreadable records were skipped") || !strings.Contains(log.String(), "records=1") {
		t.Errorf("the old configuration logged %q, and the new one %q", old.log, &log)
	}
}

func TestOpeningIsGivenUpWithItsContext(t *testing.T) {
	t.Parallel()
	s := provision(t, &Store{Path: tempPath(t)})
	ctx, cancel := context.WithCancel(t.Context())
	s.db.step = func(running context.Context, _ step, _ int) {
		cancel()
		<-running.Done()
	}
	if err := s.Open(ctx); err != nil {
		t.Errorf("Open: %v", err)
	}
	cleanup(t, s)
}

// reads is a file that reports what was read.
type reads struct {
	*strings.Reader
	tell func(from, n int64)
}

func (r reads) ReadAt(p []byte, from int64) (int, error) {
	n, err := r.Reader.ReadAt(p, from)
	r.tell(from, int64(n))
	return n, err
}

func TestAFileIsReadInItsOrderBeforeItIsLoaded(t *testing.T) {
	t.Parallel()
	const size = 5<<20 + 17
	var end int64
	content := strings.NewReader(strings.Repeat("x", size))
	readAll(t.Context(), reads{content, func(from, n int64) {
		if from != end {
			t.Errorf("%d is read after %d", from, end)
		}
		end += n
	}})
	if end != size {
		t.Errorf("%d bytes are read, want %d", end, size)
	}
	ctx, cancel := context.WithCancel(t.Context())
	end = 0
	readAll(ctx, reads{content, func(_, n int64) { end += n; cancel() }})
	if end == 0 || end == size {
		t.Errorf("%d bytes are read when the gateway ends", end)
	}
}
