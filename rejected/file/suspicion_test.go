package file

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func suspect(t *testing.T, s *Store, n int) rejected.Suspicion {
	t.Helper()
	suspicion, err := s.Suspect(t.Context(), key(n), verdict(s))
	if err != nil {
		t.Fatalf("Suspect: %v", err)
	}
	return suspicion
}

func markOf(t *testing.T, s *Store, n int) rejected.Mark {
	t.Helper()
	marks := make([]rejected.Mark, 1)
	if err := s.Lookup(t.Context(), []rejected.Key{key(n)}, marks); err != nil {
		t.Fatalf("Lookup: %v", err)
	}
	return marks[0]
}

// expectBoth expects that the index has the mark of the record on disk, and that it is the wanted one.
func expectBoth(t *testing.T, s *Store, n int, want rejected.Mark) {
	t.Helper()
	var disk rejected.Mark
	if err := s.db.view(func(b *bbolt.Bucket) error { disk = s.db.onDisk(b, key(n)); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := markOf(t, s, n); got != want || disk != want {
		t.Errorf("record %d is %+v in memory and %+v on disk, want %+v", n, got, disk, want)
	}
}

// change is a change of a record in a store.
type change struct {
	name string
	do   func(ctx context.Context, s *Store, k rejected.Key) error
}

var (
	toReject  = change{"a verdict", func(ctx context.Context, s *Store, k rejected.Key) error { return s.Reject(ctx, k, verdict(s)) }}
	toSuspect = change{"a look", func(ctx context.Context, s *Store, k rejected.Key) error {
		_, err := s.Suspect(ctx, k, verdict(s))
		return err
	}}
	toAcquit = change{"an acquittal", func(ctx context.Context, s *Store, k rejected.Key) error { return s.Acquit(ctx, k) }}
	toForget = change{"that it is forgotten", func(ctx context.Context, s *Store, k rejected.Key) error { return s.Forget(ctx, k) }}
)

// record returns the record that changes make, one a minute.
func record(s *Store, c *testClock, changes ...change) (r rejected.Record) {
	for _, ch := range changes {
		switch ch.name {
		case toReject.name:
			r = r.Add(verdict(s))
		case toSuspect.name:
			r = r.Suspect(verdict(s))
		case toAcquit.name:
			r, _ = r.Acquit()
		case toForget.name:
			r = rejected.Record{}
		}
		c.add(time.Minute)
	}
	return r
}

// histories are the changes before a test, by name.
var histories = map[string][]change{
	"nothing":                      nil,
	"a verdict":                    {toReject},
	"a suspicion":                  {toSuspect},
	"a suspicion of two looks":     {toSuspect, toSuspect},
	"a suspicion beside a verdict": {toReject, toSuspect},
}

// before returns a store with a history of record 1, and its mark.
func before(t *testing.T, history []change) (*Store, *testClock, rejected.Mark) {
	t.Helper()
	c := newTestClock()
	s := opened(t, &Store{Path: tempPath(t), clock: c.clock()})
	for _, ch := range history {
		if err := ch.do(t.Context(), s, key(1)); err != nil {
			t.Fatal(err)
		}
		c.add(time.Minute)
	}
	other := newTestClock()
	want := record(&Store{db: &database{clock: other.clock()}}, other, history...).Mark()
	expectBoth(t, s, 1, want)
	return s, c, want
}

// Of a change that cannot be written, only the verdict counts: the suspicion stays as it is on disk.
func TestAChangeThatCannotBeWrittenLeavesTheSuspicionAsItIsOnDisk(t *testing.T) {
	t.Parallel()
	for name, history := range histories {
		for _, ch := range []change{toReject, toSuspect, toAcquit, toForget} {
			for how, commit := range map[string]bool{"the transaction does not begin": false, "the commit fails": true} {
				t.Run(ch.name+" after "+name+", and "+how, func(t *testing.T) {
					t.Parallel()
					s, _, was := before(t, history)
					failing(s, commit)
					err := ch.do(t.Context(), s, key(1))
					if spared := ch.name == toAcquit.name && was.LookAt == 0; !spared && !errors.Is(err, syscall.ENOSPC) || spared && err != nil {
						t.Errorf("error %v", err)
					}
					want := was
					if ch.name == toReject.name {
						want = grown(rejected.Record{}.Add(verdict(s)).Mark(), was)
					}
					if got := markOf(t, s, 1); got != want {
						t.Errorf("the mark is %+v, want %+v", got, want)
					}
					r, err := s.Get(t.Context(), key(1))
					if err == nil != (want != rejected.Mark{}) || err == nil && (r.Verdicts > 0 != (want.ProbeAt > 0)) || r.Mark().LookAt != want.LookAt {
						t.Errorf("Get: %+v, %v", r, err)
					}
					working(s)
				})
			}
		}
	}
}

func TestAnAcquittalLeavesAVerdictThatCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	s, c, _ := before(t, histories["a suspicion"])
	failing(s, true)
	if err := s.Reject(t.Context(), key(1), verdict(s)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	working(s)
	if err := s.Acquit(t.Context(), key(1)); err != nil {
		t.Fatal(err)
	}
	if m := markOf(t, s, 1); !m.Rejects(5000, c.now()) || m.LookAt != 0 || onDisk(t, s) != 0 {
		t.Errorf("the mark is %+v, and there are %d records on disk", m, onDisk(t, s))
	}
}

func TestAnAcquittalWithoutASuspicionTouchesNoDisk(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nothing", "a verdict"} {
		s, _, was := before(t, histories[name])
		goOn := stall(s)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := s.Acquit(ctx, key(1)); err != nil {
			t.Error(err)
		}
		cancel()
		goOn()
		expectBoth(t, s, 1, was)
	}
}

func TestAnAcquittalOfWhatIsNotLoadedWritesOnlyIfThereIsASuspicion(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	h := openHeld(t, filled(t, 2, c), c)
	suspect(t, h.Store, 1)
	transactions := txid(t, h.Store)
	for n, want := range []int{0, 1, 1} { // of a verdict, and of a suspicion once
		k := key(min(n, 1))
		if err := h.Acquit(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		if got := txid(t, h.Store) - transactions; got != want {
			t.Errorf("acquittal %d: %d transactions, want %d", n, got, want)
		}
	}
	h.loadAll()
	expectBoth(t, h.Store, 1, mark(5))
}

func TestWhatIsLoadedIsLookedUpWhileTheDiskHangs(t *testing.T) {
	t.Parallel()
	s, _, was := before(t, histories["a suspicion beside a verdict"])
	goOn := stall(s)
	if got := markOf(t, s, 1); got != was {
		t.Errorf("the mark is %+v, want %+v", got, was)
	}
	goOn()
}

// idle waits for the calls that nobody waits for any more.
func idle(s *Store) {
	for range maxWriting {
		s.db.writes <- struct{}{}
	}
	for range maxWriting {
		<-s.db.writes
	}
}

func TestAChangeThatComesLateLeavesTheIndexAsTheFile(t *testing.T) {
	t.Parallel()
	for name, history := range histories {
		for _, ch := range []change{toReject, toSuspect, toAcquit, toForget} {
			for _, fails := range []bool{false, true} {
				t.Run(ch.name+" after "+name+map[bool]string{true: ", and it fails"}[fails], func(t *testing.T) {
					t.Parallel()
					s, c, was := before(t, history)
					if fails {
						failing(s, true)
					}
					goOn := stall(s)
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
					defer cancel()
					err := ch.do(ctx, s, key(1))
					if spared := ch.name == toAcquit.name && was.LookAt == 0; spared != (err == nil) {
						t.Errorf("error %v", err)
					}
					if err != nil && (!errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), s.db.path)) {
						t.Errorf("error %v, want one that has the path and wraps the context's", err)
					}
					if got := markOf(t, s, 1); got != was {
						t.Errorf("before it is written, the mark is %+v, want %+v", got, was)
					}
					goOn()
					idle(s)
					if !fails {
						other := newTestClock()
						all := append(append([]change(nil), history...), ch)
						expectBoth(t, s, 1, record(&Store{db: &database{clock: other.clock()}}, other, all...).Mark())
						return
					}
					working(s)
					if ch.name == toReject.name {
						if got := markOf(t, s, 1); !got.Rejects(5000, c.now()) || got.LookAt != was.LookAt {
							t.Errorf("after a verdict that could not be written, the mark is %+v", got)
						}
						return
					}
					expectBoth(t, s, 1, was)
				})
			}
		}
	}
}

// Changes of a suspicion while its shard is being loaded must be known during loading and afterwards.
func TestWhatBecomesOfASuspicionWhileItsShardIsLoadedCounts(t *testing.T) {
	t.Parallel()
	for name, history := range histories {
		for _, ch := range []change{toReject, toSuspect, toAcquit, toForget} {
			for _, full := range []bool{false, true} {
				for when, step := range map[string]step{"before it is read": toRead, "after it was read": toFill} {
					t.Run(ch.name+" after "+name+" "+when+map[bool]string{true: ", on a full disk"}[full], func(t *testing.T) {
						t.Parallel()
						s, c, was := before(t, history)
						cleanup(t, s)
						h := openHeld(t, s.Path, c)
						at := h.loadTo(step, int(key(1)[0]))
						h.full.Store(full)
						err := ch.do(t.Context(), h.Store, key(1))
						h.full.Store(false)
						want := was
						switch {
						case !full:
							other := newTestClock()
							all := append(append([]change(nil), history...), ch)
							want = record(&Store{db: &database{clock: other.clock()}}, other, all...).Mark()
						case ch.name == toReject.name:
							want = grown(rejected.Record{}.Add(verdict(h.Store)).Mark(), was)
						}
						if full != (err != nil) && !(full && ch.name == toAcquit.name && was.LookAt == 0) {
							t.Errorf("error %v", err)
						}
						h.expectMark(t, "meanwhile", want)
						close(at.goOn)
						h.loadAll()
						h.expectMark(t, "afterwards", want)
					})
				}
			}
		}
	}
}
