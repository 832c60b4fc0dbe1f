package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/rejectedtest"
)

// held is a store that was opened while its loading stands still.
type held struct {
	*Store
	clock *testClock
	log   *syncBuffer
	steps chan halt
	full  atomic.Bool // whether the disk is
}

// halt is a step that loading waits at; it goes on when the channel is closed.
type halt struct {
	step  step
	shard int
	goOn  chan struct{}
}

// openHeld opens a store whose loading waits at the first step of the first shard.
func openHeld(t *testing.T, path string, c *testClock) *held {
	t.Helper()
	c.enough = over
	h := &held{Store: &Store{Path: path, clock: c.clock()}, clock: c, log: new(syncBuffer), steps: make(chan halt)}
	provision(t, h.Store)
	h.Store.log = slog.New(slog.NewTextHandler(h.log, nil))
	h.db.step = func(ctx context.Context, s step, shard int) {
		goOn := make(chan struct{})
		select {
		case h.steps <- halt{s, shard, goOn}:
			select {
			case <-goOn:
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
	}
	if err := h.Open(t.Context()); err != nil {
		t.Fatalf("Open: %v", err)
	}
	h.db.gate.Lock()
	defer h.db.gate.Unlock()
	h.db.write = func(fn func(*bbolt.Tx) error) error {
		if !h.full.Load() {
			return h.db.bolt.Batch(fn)
		}
		return h.db.bolt.Update(func(tx *bbolt.Tx) error { return errors.Join(fn(tx), syscall.ENOSPC) })
	}
	return h
}

// loadTo lets loading go on until it is at a step of a shard, and returns what lets it go on from there.
func (h *held) loadTo(s step, shard int) halt {
	for {
		at := <-h.steps
		if at.step == s && at.shard == shard {
			return at
		}
		close(at.goOn)
	}
}

// loadAll lets loading end.
func (h *held) loadAll() {
	for {
		select {
		case at := <-h.steps:
			close(at.goOn)
		case <-h.clock.waits: // the sweeper does
			return
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// filled is the path of a file with records 0 to n-1, seen at the clock's time.
func filled(t *testing.T, n int, c *testClock) string {
	t.Helper()
	s := opened(t, &Store{Path: tempPath(t), clock: clock{now: c.now}})
	fill(t, s, n, c.now())
	cleanup(t, s)
	return s.Path
}

// uncounted is a store without its Len: while the file is loaded, it does not know how many records there are.
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
		t.Errorf("%d records are counted, and none is loaded", n)
	}
	if n := len(c.waits); n != 0 {
		t.Error("the sweeper runs beside loading")
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
	if n := testing.AllocsPerRun(100, func() { _ = s.db.lookup(keys, marks) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// What is done at each step of the shard's loading must be known during it and afterwards.
func TestWhatChangesWhileItsShardIsLoadedCounts(t *testing.T) {
	t.Parallel()
	newer := func(s *Store) rejected.Verdict {
		v := verdict(s)
		v.PushkeyTS = 9000
		return v
	}
	tests := []struct {
		name string
		do   func(t *testing.T, h *held)
		want rejected.Mark
	}{
		{"nothing", func(*testing.T, *held) {}, mark(5)},
		{"a verdict", func(t *testing.T, h *held) {
			if err := h.Reject(t.Context(), key(1), newer(h.Store)); err != nil {
				t.Error(err)
			}
		}, mark(9)},
		{"a verdict that cannot be written", func(t *testing.T, h *held) {
			h.full.Store(true)
			if err := h.Reject(t.Context(), key(1), newer(h.Store)); err == nil {
				t.Error("no error")
			}
			h.full.Store(false)
		}, mark(9)},
		{"it is forgotten", func(t *testing.T, h *held) {
			if err := h.Forget(t.Context(), key(1)); err != nil {
				t.Error(err)
			}
		}, rejected.Mark{}},
		{"it cannot be forgotten", func(t *testing.T, h *held) {
			h.full.Store(true)
			if err := h.Forget(t.Context(), key(1)); err == nil {
				t.Error("no error")
			}
			h.full.Store(false)
		}, mark(5)},
		{"it is forgotten, and rejected for less", func(t *testing.T, h *held) {
			v := verdict(h.Store)
			v.PushkeyTS = 2000
			if err := errors.Join(h.Forget(t.Context(), key(1)), h.Reject(t.Context(), key(1), v)); err != nil {
				t.Error(err)
			}
		}, mark(2)},
		{"a verdict is forgotten", func(t *testing.T, h *held) {
			if err := errors.Join(h.Reject(t.Context(), key(1), newer(h.Store)), h.Forget(t.Context(), key(1))); err != nil {
				t.Error(err)
			}
		}, rejected.Mark{}},
	}
	for _, tt := range tests {
		for name, step := range map[string]step{"before it is read": toRead, "after it was read": toFill} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				t.Parallel()
				c := newTestClock()
				h := openHeld(t, filled(t, 10, c), c)
				at := h.loadTo(step, int(key(1)[0]))
				tt.do(t, h)
				h.expectMark(t, "meanwhile", tt.want)
				close(at.goOn)
				h.loadAll()
				h.expectMark(t, "afterwards", tt.want)
			})
		}
	}
}

// mark is that of a verdict of the test clock's first moment.
func mark(condemned uint32) rejected.Mark {
	return rejected.Mark{Condemned: condemned, ProbeAt: uint32(newTestClock().at.Add(time.Hour).Unix())}
}

func (h *held) expectMark(t *testing.T, when string, want rejected.Mark) {
	t.Helper()
	marks := make([]rejected.Mark, 1)
	if err := h.Lookup(t.Context(), []rejected.Key{key(1)}, marks); err != nil || marks[0] != want {
		t.Errorf("%s: %+v, %v; want %+v", when, marks[0], err, want)
	}
}

func TestAfterLoadingTheIndexHasWhatIsOnDisk(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	h := openHeld(t, filled(t, 1000, c), c)
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			for n := i; ; n = (n + 8) % 1500 {
				v := verdict(h.Store)
				v.PushkeyTS = int64(n) * 1000
				err := h.Reject(t.Context(), key(n), v)
				if n%3 == 0 {
					err = errors.Join(err, h.Forget(t.Context(), key(n)))
				}
				known(t, h.Store, n)
				if err != nil {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	h.loadAll()
	close(stop)
	workers.Wait()
	err := h.db.view(func(b *bbolt.Bucket) error {
		return b.ForEach(func(name, value []byte) error {
			k, r, err := entry(name, value)
			if m, _ := h.db.index.peek(k); err != nil || m != r.Mark() {
				t.Errorf("%s: %+v in memory, %+v on disk, %v", k, m, r.Mark(), err)
			}
			return nil
		})
	})
	if n := onDisk(t, h.Store); err != nil || n != h.Len() || n == 0 {
		t.Errorf("%d in memory, %d on disk, %v", h.Len(), n, err)
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
		t.Errorf("after loading: %v, %v, %d records; want the new one alone", known(t, h.Store, 1), known(t, h.Store, 2), h.Len())
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
			if n := h.Len(); n != 0 {
				t.Errorf("%d records", n)
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

// damage overwrites every page that has the record of a key, and returns the keys that it spared.
func damage(t *testing.T, path string, bad rejected.Key, n int) (spared []int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page := os.Getpagesize()
	for from := 2 * page; from < len(content); from += page {
		if at := content[from : from+page]; bytes.Contains(at, bad[:]) {
			if _, err := f.WriteAt(bytes.Repeat([]byte{0xA5}, page), int64(from)); err != nil {
				t.Fatal(err)
			}
			clear(at)
		}
	}
	broken := make(map[byte]bool)
	for i := range n {
		if k := key(i); !bytes.Contains(content, k[:]) {
			broken[k[0]] = true
		}
	}
	for i := range n {
		if !broken[key(i)[0]] {
			spared = append(spared, i)
		}
	}
	return spared
}

func TestDamageThatIsFoundLateIsLoggedAndTheRestCounts(t *testing.T) {
	t.Parallel()
	const n = 2000
	c := newTestClock()
	path := filled(t, n, c)
	h := openHeld(t, path, c)
	spared := damage(t, path, key(1), n)
	if len(spared) == 0 || len(spared) == n {
		t.Fatalf("%d records are spared", len(spared))
	}
	for _, when := range []string{"before", "after"} {
		for _, i := range spared {
			if !known(t, h.Store, i) {
				t.Errorf("%s loading, record %d is not known", when, i)
			}
		}
		marks := []rejected.Mark{{Condemned: 1}, {Condemned: 1}}
		err := h.Lookup(t.Context(), []rejected.Key{key(spared[0]), key(1)}, marks)
		if err == nil || !strings.Contains(err.Error(), path) || marks[0] != (rejected.Mark{}) || marks[1] != (rejected.Mark{}) {
			t.Errorf("%s loading: marks %+v, error %v; want no marks and one with the path", when, marks, err)
		}
		if when == "before" {
			h.loadAll()
		}
	}
	log := h.log.String()
	if strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "is damaged or no database; move it away") || strings.Count(log, "\n") != 1 {
		t.Errorf("logged %s", log)
	}
	if err := h.Reject(t.Context(), key(1), verdict(h.Store)); err == nil {
		t.Error("a verdict was written on a damaged page")
	}
	if !known(t, h.Store, 1) {
		t.Error("a verdict that could not be written does not count")
	}
}

func TestDamageThatIsFoundSoonFailsTheLoad(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	path := filled(t, 2000, c)
	damage(t, path, key(1), 2000)
	s := provision(t, &Store{Path: path, clock: clock{now: c.now}})
	err := s.Open(t.Context())
	if want := fmt.Sprintf("rejected store: %s is damaged or no database; move it away to start with an empty one: ", path); err == nil ||
		!strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want one that begins with %s", err, want)
	}
	if err := s.Lookup(t.Context(), nil, nil); !errors.Is(err, rejected.ErrNotOpen) || s.Len() != 0 {
		t.Errorf("Lookup: %v, %d records; want ErrNotOpen and none", err, s.Len())
	}
}

// Guards against the end of the process: bbolt writes on a goroutine of its own, where a page that is not there any more is no panic.
func TestAFileThatIsCutShortWhileItIsOpenEndsNothing(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	path := filled(t, 2000, c)
	h := openHeld(t, path, c)
	if err := os.Truncate(path, int64(2*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := h.Lookup(t.Context(), []rejected.Key{key(1)}, make([]rejected.Mark, 1))
		errs := map[string]error{"Lookup": err, "Reject": h.Reject(t.Context(), key(2), verdict(h.Store)), "Forget": h.Forget(t.Context(), key(3))}
		for op, err := range errs {
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: error %v, want one with the path", op, err)
			}
		}
		h.loadAll()
		h.clock.waits <- 0
	}
	if n := strings.Count(h.log.String(), "level=ERROR"); n != 1 {
		t.Errorf("logged %s", h.log)
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

// reads is a file of which it tells what was read.
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
