package rejectedtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// lister is a fixture whose store can be listed.
type lister struct {
	*fixture
	rejected.Lister
}

func newLister(t *testing.T, h Harness) *lister {
	t.Helper()
	f := newFixture(t, h)
	l, ok := f.s.(rejected.Lister)
	if !ok {
		t.Skip("the store is not a rejected.Lister")
	}
	return &lister{f, l}
}

// page reads one page, and checks how many records it has.
func (l *lister) page(q rejected.Query) (page []rejected.Entry, next string) {
	l.Helper()
	page, next, err := l.List(l.Context(), q)
	if err != nil {
		l.Fatalf("List %+v: %v", q, err)
	}
	limit := q.Limit
	if limit <= 0 || limit > rejected.MaxPage {
		limit = rejected.MaxPage
	}
	if len(page) > 2*limit+10 {
		l.Errorf("a page of %+v has %d records", q, len(page))
	}
	return page, next
}

// all reads all pages, and returns how often each key was listed.
func (l *lister) all(q rejected.Query) map[rejected.Key]int {
	l.Helper()
	listed := make(map[rejected.Key]int)
	for range 10_000 {
		page, next := l.page(q)
		for _, e := range page {
			listed[e.Key]++
			if !strings.HasPrefix(e.Key.String(), q.Prefix) {
				l.Errorf("%s is listed for the prefix %s", e.Key, q.Prefix)
			}
		}
		if next == "" {
			return listed
		}
		if next == q.Cursor && len(page) > 0 {
			l.Fatalf("the page after %q begins where it begins", next)
		}
		q.Cursor = next
	}
	l.Fatalf("the pages of %+v have no end", q)
	return nil
}

func (l *lister) expectOnce(q rejected.Query, want ...rejected.Key) {
	l.Helper()
	listed := l.all(q)
	for _, k := range want {
		if n := listed[k]; n != 1 {
			l.Errorf("%+v: %s was listed %d times", q, k, n)
		}
	}
	if len(listed) != len(want) {
		l.Errorf("%+v: %d records are listed, want %d", q, len(listed), len(want))
	}
}

// nth returns the nth key of a sort.
func nth(sort string, n int) rejected.Key {
	return rejected.KeyOf("org.example.app", fmt.Sprintf("%s %d", sort, n))
}

// rejectMany rejects several at a time, so a store that writes each to a disk can share syncs.
func (f *fixture) rejectMany(sort string, n int) []rejected.Key {
	f.Helper()
	const workers = 16
	keys := make([]rejected.Key, n)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := worker; i < n; i += workers {
				keys[i] = nth(sort, i)
				if err := f.s.Reject(f.Context(), keys[i], f.verdict(ts(int64(i)))); err != nil {
					f.Errorf("Reject: %v", err)
				}
			}
		})
	}
	wg.Wait()
	return keys
}

// missing reads all pages, in a goroutine, and returns how many of the keys are on none of them.
func (l *lister) missing(q rejected.Query, keys []rejected.Key) (n int) {
	listed := make(map[rejected.Key]bool)
	for {
		page, next, err := l.List(l.Context(), q)
		if err != nil {
			l.Errorf("List: %v", err)
			return 0
		}
		for _, e := range page {
			listed[e.Key] = true
		}
		if q.Cursor = next; next == "" {
			break
		}
	}
	for _, k := range keys {
		if !listed[k] {
			n++
		}
	}
	return n
}
