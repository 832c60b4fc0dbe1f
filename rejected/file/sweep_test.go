package file

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// fill writes records 0 to n-1, seen at the given time, in one transaction.
func fill(t *testing.T, s *Store, n int, seen time.Time) {
	t.Helper()
	r := rejected.Record{}.Add(rejected.Verdict{Reason: "gone", PushkeyTS: 5000, At: seen})
	err := s.db.update(func(b *bbolt.Bucket) error {
		for i := range n {
			k := key(i)
			s.db.index.raise(k, r.Mark())
			if err := b.Put(append([]byte(nil), k[:]...), encode(k, r)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func onDisk(t *testing.T, s *Store) (n int) {
	t.Helper()
	if err := s.db.view(func(b *bbolt.Bucket) error { n = b.Inspect().KeyN; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTheSweeperRunsOnItsOwn(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	s := opened(t, &Store{Path: tempPath(t), Expire: caddy.Duration(time.Hour), clock: c.clock()})
	fill(t, s, 10, c.now())
	c.add(50 * time.Minute)
	known(t, s, 3)
	c.add(20 * time.Minute)
	if d := <-c.waits; d != 30*time.Minute {
		t.Errorf("the first sweep is after %v, want half of expire", d)
	}
	c.ticks <- c.now()
	<-c.waits // it waits again: the sweep is done
	if s.Len() != 1 || onDisk(t, s) != 1 || !known(t, s, 3) {
		t.Errorf("%d records in memory, %d on disk; want the one that was looked up", s.Len(), onDisk(t, s))
	}
}

func TestTheSweeperRunsAtLeastEveryHour(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	opened(t, &Store{Path: tempPath(t), clock: c.clock()})
	if d := <-c.waits; d != time.Hour {
		t.Errorf("the first sweep is after %v, want an hour", d)
	}
}

func TestASweepTakesManyBoundedTransactions(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	s := opened(t, &Store{Path: tempPath(t), clock: c.clock()})
	const records = 3*maxWrites + 5
	fill(t, s, records, c.now())
	c.add(rejected.DefaultExpire)
	before := txid(t, s)
	if err := s.db.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := txid(t, s) - before; n != 4 {
		t.Errorf("%d transactions, want 4", n)
	}
	if s.Len() != 0 || onDisk(t, s) != 0 {
		t.Errorf("%d records in memory, %d on disk; want none", s.Len(), onDisk(t, s))
	}
}

func TestARecordSeenBetweenSearchAndRemovalStays(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	s := opened(t, &Store{Path: tempPath(t), clock: c.clock()})
	fill(t, s, 3, c.now())
	c.add(rejected.DefaultExpire)
	expired, _, err := s.db.findExpired([]byte{})
	if err != nil || len(expired) != 3 {
		t.Fatalf("%d expired, %v; want 3", len(expired), err)
	}
	known(t, s, 1)
	reject(t, s, 2)
	if err := s.db.removeExpired(expired); err != nil {
		t.Fatal(err)
	}
	for n, want := range []bool{false, true, true} {
		if got := known(t, s, n); got != want {
			t.Errorf("record %d is known: %v, want %v", n, got, want)
		}
	}
	if n := onDisk(t, s); n != 2 {
		t.Errorf("%d records on disk, want 2", n)
	}
}

func TestManyLookupsAreWrittenDownBeforeTheNextSweep(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	s := opened(t, &Store{Path: tempPath(t), clock: c.clock()})
	<-c.waits
	keys := make([]rejected.Key, maxSeen/2) // all of one shard
	for i := range keys {
		keys[i] = rejected.Key{0: 9, 1: byte(i), 2: byte(i >> 8)}
		s.db.index.raise(keys[i], rejected.Mark{ProbeAt: 1})
	}
	written := make(chan struct{})
	s.db.write = func(fn func(*bbolt.Tx) error) error {
		defer close(written)
		return s.db.bolt.Batch(fn)
	}
	if err := s.Lookup(t.Context(), keys, make([]rejected.Mark, len(keys))); err != nil {
		t.Fatal(err)
	}
	<-written
}

func TestWhatAShardSawIsBounded(t *testing.T) {
	t.Parallel()
	var x index
	x.fill(9, marks{})
	for i := range 3 * maxSeen {
		k := rejected.Key{0: 9, 1: byte(i), 2: byte(i >> 8)}
		x.raise(k, rejected.Mark{ProbeAt: 1})
		x.lookup(k, 1)
	}
	if n := len(x[9].seen); n != maxSeen {
		t.Errorf("%d lookups are remembered, want %d", n, maxSeen)
	}
	x.lookup(rejected.Key{0: 9}, 7)
	if _, seen := x.peek(rejected.Key{0: 9}); seen != 7 {
		t.Errorf("a record that is already remembered was seen at %d, want 7", seen)
	}
}

func TestAFailingSweepIsLoggedOnceAnInterval(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	s := provision(t, &Store{Path: tempPath(t), clock: c.clock()})
	var log bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-c.waits
	reject(t, s, 1)
	known(t, s, 1)
	failing(s, false)
	c.ticks <- c.now()
	<-c.waits
	s.db.crowd <- struct{}{} // nobody receives it before the next interval
	c.ticks <- c.now()
	<-c.waits
	working(s)
	c.ticks <- c.now()
	<-c.waits
	cleanup(t, s)
	if n := strings.Count(log.String(), "cannot be cleaned up"); n != 2 {
		t.Errorf("logged %d times, want 2: %s", n, log.String())
	}
}

func TestASweepEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.db.sweep(ctx); err == nil {
		t.Error("no error")
	}
}
