package file

import (
	"encoding/hex"
	"errors"
	"slices"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// pages reads all pages, and checks that no transaction outlives one.
func pages(t *testing.T, s *Store, q rejected.Query) (all [][]rejected.Entry) {
	t.Helper()
	for range 10_000 {
		page, next, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatalf("List %+v: %v", q, err)
		}
		all = append(all, page)
		if n := s.db.bolt.Stats().OpenTxN; n != 0 {
			t.Fatalf("%d transactions are open after a page", n)
		}
		if q.Cursor = next; next == "" {
			return all
		}
	}
	t.Fatal("the pages have no end")
	return nil
}

func TestAPageHasAsManyRecordsAsItMayInTheOrderOfTheKeys(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	s := opened(t, &Store{Path: tempPath(t), clock: c.clock()})
	fill(t, s, 2*rejected.MaxPage, c.now())
	for limit, want := range map[int]int{1000: 2, 999: 3, 700: 3, 0: 2, 5000: 2} {
		all := pages(t, s, rejected.Query{Limit: limit})
		size := rejected.Query{Limit: limit}.Size()
		for i, page := range all {
			if i < len(all)-1 && len(page) != size || len(page) == 0 || len(page) > size {
				t.Errorf("limit %d: page %d has %d records", limit, i+1, len(page))
			}
		}
		keys := slices.Concat(all...)
		sorted := slices.IsSortedFunc(keys, func(a, b rejected.Entry) int { return slices.Compare(a.Key[:], b.Key[:]) })
		if len(all) != want || len(keys) != 2*rejected.MaxPage || !sorted {
			t.Errorf("limit %d: %d pages with %d records, sorted: %v", limit, len(all), len(keys), sorted)
		}
	}
}

func TestAPageReadsABoundedNumberOfRecords(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	s := opened(t, &Store{Path: tempPath(t), clock: c.clock()})
	numbered := func(n int) rejected.Key { return rejected.Key{0: byte(n >> 16), 1: byte(n >> 8), 2: byte(n)} }
	r := rejected.Record{}.Add(verdict(s))
	err := s.db.update(func(b *bbolt.Bucket) error {
		for n := range 2 * maxReads { // in their order, which is fast
			k := numbered(n)
			if err := b.Put(k[:], encode(k, r)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.add(rejected.DefaultExpire)
	last := numbered(2*maxReads - 1)
	if err := s.Reject(t.Context(), last, verdict(s)); err != nil {
		t.Fatal(err)
	}
	all := pages(t, s, rejected.Query{})
	if len(all) != 2 || len(all[0]) != 0 || len(all[1]) != 1 || all[1][0].Key != last {
		t.Errorf("%d pages with %d records, want an empty one, and one with what did not expire", len(all), len(slices.Concat(all...)))
	}
}

func TestACursorIsGoodWhenItsRecordIsGone(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	s := opened(t, &Store{Path: tempPath(t), clock: c.clock()})
	fill(t, s, 3, c.now())
	_, next, err := s.List(t.Context(), rejected.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	gone, ok := rejected.ParseKey(next)
	if !ok {
		t.Fatalf("the cursor is %q", next)
	}
	if err := s.Forget(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	page, next, err := s.List(t.Context(), rejected.Query{Cursor: next})
	if err != nil || len(page) != 1 || page[0].Key == gone || next != "" {
		t.Errorf("%d records, cursor %q, %v; want the last one", len(page), next, err)
	}
}

func TestWhatCannotBeReadIsNotListed(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	reject(t, s, 1)
	failing(s, false)
	if err := s.Reject(t.Context(), key(2), verdict(s)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Reject: %v", err)
	}
	working(s)
	err := s.db.update(func(b *bbolt.Bucket) error {
		k := key(3)
		return errors.Join(
			b.Put([]byte{0}, []byte("x")), b.Put([]byte("\xff\xff"), []byte("x")), b.Put(make([]byte, 17), []byte("x")),
			b.Put(k[:], []byte("from another version")),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{0, 1} {
		all := slices.Concat(pages(t, s, rejected.Query{Limit: limit})...)
		if len(all) != 1 || all[0].Key != key(1) {
			t.Errorf("limit %d: listed %v, want the one record that is on disk", limit, all)
		}
	}
	if all := slices.Concat(pages(t, s, rejected.Query{Prefix: key(1).String()})...); len(all) != 1 {
		t.Errorf("by its key: listed %v", all)
	}
}

func TestAFileOfVersion1IsReadAndLearnsTheApps(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	old, err := hex.DecodeString(version1)
	if err != nil {
		t.Fatal(err)
	}
	k := rejected.Key{0: 1, 15: 2}
	if err := s.db.update(func(b *bbolt.Bucket) error { return b.Put(k[:], old) }); err != nil {
		t.Fatal(err)
	}
	cleanup(t, s)
	c := newTestClock()
	c.at = sample.LastSeen
	s = opened(t, &Store{Path: s.Path, clock: c.clock()})
	if r, err := s.Get(t.Context(), k); err != nil || r.App != "" || r.Condemned != sample.Condemned || s.Len() != 1 {
		t.Fatalf("Get: %+v, %v; %d records", r, err, s.Len())
	}
	v := verdict(s)
	v.App = "org.example.*"
	if err := s.Reject(t.Context(), k, v); err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(pages(t, s, rejected.Query{})...)
	if len(all) != 1 || all[0].Record.App != v.App || all[0].Record.Condemned != sample.Condemned {
		t.Errorf("listed %+v", all)
	}
}

func TestThatItWasSeenIsListedBeforeItIsOnDisk(t *testing.T) {
	t.Parallel()
	c := newTestClock()
	s := opened(t, &Store{Path: tempPath(t), clock: c.clock()})
	reject(t, s, 1)
	c.add(rejected.DefaultExpire - 1)
	known(t, s, 1)
	c.add(rejected.DefaultExpire / 2)
	all := slices.Concat(pages(t, s, rejected.Query{})...)
	if _, seen := s.db.index.peek(key(1)); len(all) != 1 || all[0].Record.LastSeen.Unix() != int64(seen) {
		t.Errorf("listed %+v", all)
	}
}
