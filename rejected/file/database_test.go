package file

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// failing makes every write of an open store fail, as a full disk does. With commit, only the commit at the end fails.
func failing(s *Store, commit bool) {
	s.db.write = func(fn func(*bbolt.Tx) error) error {
		if !commit {
			return syscall.ENOSPC
		}
		return s.db.bolt.Update(func(tx *bbolt.Tx) error { return errors.Join(fn(tx), syscall.ENOSPC) })
	}
}

func working(s *Store) {
	s.db.write = s.db.bolt.Batch
}

func TestAVerdictThatCannotBeWrittenCountsUntilTheProcessEnds(t *testing.T) {
	t.Parallel()
	for name, commit := range map[string]bool{"the transaction does not begin": false, "the commit fails": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := opened(t, &Store{Path: tempPath(t)})
			failing(s, commit)
			if err := s.Reject(t.Context(), key(1), verdict(s)); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("Reject: %v, want ENOSPC", err)
			}
			if !known(t, s, 1) {
				t.Error("the pushkey is not rejected")
			}
			if r, err := s.Get(t.Context(), key(1)); err != nil || r.Condemned != 5000 {
				t.Errorf("Get: %+v, %v", r, err)
			}

			working(s)
			v := verdict(s)
			v.PushkeyTS = 1000
			if err := s.Reject(t.Context(), key(1), v); err != nil {
				t.Fatal(err)
			}
			marks := make([]rejected.Mark, 1)
			if err := s.Lookup(t.Context(), []rejected.Key{key(1)}, marks); err != nil || marks[0].Condemned != 5 {
				t.Errorf("an older verdict undid the unwritten one: %+v, %v", marks, err)
			}
			if err := s.Forget(t.Context(), key(1)); err != nil || known(t, s, 1) {
				t.Errorf("it cannot be forgotten: %v", err)
			}
		})
	}
}

func TestARecordThatCannotBeForgottenStays(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	reject(t, s, 1)
	failing(s, true)
	if err := s.Forget(t.Context(), key(1)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Forget: %v, want ENOSPC", err)
	}
	if !known(t, s, 1) {
		t.Error("the record is on disk but is not looked up")
	}
	working(s)
}

func TestWhatWasSeenIsWrittenWhenTheDiskWorksAgain(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	s := opened(t, &Store{Path: tempPath(t), clock: c.clock()})
	reject(t, s, 1)
	c.add(time.Hour)
	known(t, s, 1)
	failing(s, true)
	if err := s.db.sweep(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("sweep: %v, want ENOSPC", err)
	}
	working(s)
	if err := s.db.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, seen := s.db.index.peek(key(1)); seen != 0 {
		t.Error("it is still waiting to be written")
	}
	if r, err := s.Get(t.Context(), key(1)); err != nil || !r.LastSeen.Equal(c.now()) {
		t.Errorf("last seen %v, %v; want %v", r.LastSeen, err, c.now())
	}
}

func TestAPanicInATransactionIsAnError(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	err := s.db.update(func(*bbolt.Bucket) error { panic("page 7: invalid page type") })
	if err == nil || !strings.Contains(err.Error(), s.Path) || !strings.Contains(err.Error(), "page 7") {
		t.Errorf("error %v", err)
	}
	reject(t, s, 1)
}

func TestVerdictsAtTheSameTimeShareASync(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	const verdicts = 64
	s.db.bolt.MaxBatchSize = verdicts // the batch starts when the last one joined it
	s.db.bolt.MaxBatchDelay = time.Hour
	before := txid(t, s)
	var wg sync.WaitGroup
	for n := range verdicts {
		wg.Go(func() { reject(t, s, n) })
	}
	wg.Wait()
	if n := txid(t, s) - before; n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
	s.db.bolt.MaxBatchDelay = batchDelay
}

// txid returns the number of the last write transaction.
func txid(t *testing.T, s *Store) (id int) {
	t.Helper()
	if err := s.db.bolt.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestALockedFileIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	reject(t, s, 1)
	// A database outside the pool acts like one in another process.
	other := newDatabase(s.Path, clock{})
	err := other.Open(t.Context(), s, s.log, nil)
	if err == nil || !strings.Contains(err.Error(), s.Path) || !strings.Contains(err.Error(), "caddy reload") {
		t.Errorf("error %v", err)
	}
	if err := other.Destruct(); err != nil {
		t.Errorf("Destruct: %v", err)
	}
	reject(t, s, 2)
}

func TestADamagedFileIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := opened(t, &Store{Path: path})
	fill(t, s, 2000, time.Now())
	cleanup(t, s)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	for _, tt := range []struct {
		name    string
		content []byte
	}{
		{"text", bytes.Repeat([]byte("not a database\n"), 1000)},
		{"a few bytes", []byte("x")},
		{"only its first page", good[:page]},
		{"only its first three pages", good[:3*page]},
		{"zeros in place of its pages", append(append([]byte(nil), good[:2*page]...), make([]byte, len(good)-2*page)...)},
		{"noise in place of its pages", append(append([]byte(nil), good[:2*page]...), bytes.Repeat([]byte{0xA5}, len(good)-2*page)...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := provision(t, &Store{Path: tempPath(t)})
			writeFile(t, s.Path, tt.content)
			if err := s.Open(t.Context()); err == nil || !strings.Contains(err.Error(), s.Path) {
				t.Fatalf("Open: error %v, want one with the path", err)
			}
			if n := s.Len(); n != 0 {
				t.Errorf("%d of its records count", n)
			}
			writeFile(t, s.Path, good) // the lock is free, and nothing of the failure is left
			if err := s.Open(t.Context()); err != nil {
				t.Errorf("after the file was replaced: %v", err)
			}
			if n := s.Len(); n == 0 {
				t.Error("no records")
			}
		})
	}
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(strings.TrimSuffix(path, "/rejected.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAnUnreadableRecordIsSkippedAndReportedAndReplaced(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	reject(t, s, 1)
	reject(t, s, 2)
	err := s.db.update(func(b *bbolt.Bucket) error {
		k := key(2)
		return errors.Join(b.Put([]byte("short"), []byte("x")), b.Put(k[:], []byte("from another version")))
	})
	if err != nil {
		t.Fatal(err)
	}
	cleanup(t, s)

	var log bytes.Buffer
	s = provision(t, &Store{Path: s.Path})
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "records=2") {
		t.Errorf("logged %q, want a warning that counts 2 records", log.String())
	}
	if !known(t, s, 1) || known(t, s, 2) {
		t.Error("want only the readable record")
	}
	if err := s.db.sweep(t.Context()); err != nil {
		t.Errorf("sweep: %v", err)
	}
	reject(t, s, 2)
	if r, err := s.Get(t.Context(), key(2)); err != nil || r.Verdicts != 1 {
		t.Errorf("after a verdict: %+v, %v", r, err)
	}
}

func TestOpenAtOnceOpensOnce(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	stores := make([]*Store, 8)
	for i := range stores {
		stores[i] = provision(t, &Store{Path: path})
	}
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() {
			if err := s.Open(t.Context()); err != nil {
				t.Error(fmt.Errorf("store %d: %w", i, err))
				return
			}
			reject(t, s, i)
		})
	}
	wg.Wait()
	if n := stores[0].Len(); n != len(stores) {
		t.Errorf("%d records, want %d", n, len(stores))
	}
}
