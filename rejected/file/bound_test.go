package file

import (
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestBeyondMaxEntriesOthersMakeRoom(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	const most = 2 * shards
	s.db.maxEntries.Store(most)
	reject(t, s, 0)
	rejectMany := func(first int) {
		t.Helper()
		var running sync.WaitGroup
		for worker := range 40 {
			running.Go(func() {
				for n := range 50 {
					known(t, s, 0) // a record that is asked for stays
					if err := s.Reject(t.Context(), key(first+50*worker+n), verdict(s)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		running.Wait()
	}
	rejectMany(1)
	if !known(t, s, 0) {
		t.Error("a record that was asked for all the time is forgotten")
	}
	onDisk := func() (n int) {
		t.Helper()
		for cursor := ""; ; {
			page, next, err := s.List(t.Context(), rejected.Query{Cursor: cursor})
			if err != nil {
				t.Fatal(err)
			}
			if n += len(page); next == "" {
				return n
			}
			cursor = next
		}
	}
	if n := s.Len(); n > most || n < most*9/10 || onDisk() != n {
		t.Errorf("%d records in memory and %d on disk, want %d", n, onDisk(), most)
	}

	s.db.maxEntries.Store(shards) // one in each
	rejectMany(5000)
	if n := s.Len(); n < shards || n > shards+1 || onDisk() != n { // one shard may also have the record that is asked for
		t.Errorf("with half of the room, there are %d records in memory and %d on disk, want %d", n, onDisk(), shards)
	}
}

func TestSuspicionsTakeTheSameRoom(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	s.db.maxEntries.Store(shards)
	reject(t, s, 0)
	var running sync.WaitGroup
	for worker := range 40 {
		running.Go(func() {
			for n := range 50 {
				suspect(t, s, 50*worker+n)
			}
		})
	}
	running.Wait()
	looks := 0
	for i := range s.db.index {
		looks += len(s.db.index[i].marks.looks)
	}
	if n := s.Len(); n > shards || n < shards*9/10 || onDisk(t, s) != n || looks > n {
		t.Errorf("%d records in memory with %d looks, and %d on disk; want %d", n, looks, onDisk(t, s), shards)
	}
}

func TestMaxEntriesIsThatOfTheNewestConfiguration(t *testing.T) {
	t.Parallel()
	old := opened(t, &Store{Path: tempPath(t)})
	if n := old.db.maxEntries.Load(); n != defaultMaxEntries {
		t.Errorf("room for %d records, want %d", n, defaultMaxEntries)
	}
	s := opened(t, &Store{Path: old.Path, MaxEntries: 20_000, Expire: caddy.Duration(rejected.DefaultExpire)})
	if n := s.db.maxEntries.Load(); n != 20_000 {
		t.Errorf("room for %d records, want the newest configuration's", n)
	}
}
