package memory

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func list(t *testing.T, s *Store, q rejected.Query) (page []rejected.Entry, next string) {
	t.Helper()
	page, next, err := s.List(t.Context(), q)
	if err != nil {
		t.Fatalf("List %+v: %v", q, err)
	}
	return page, next
}

func TestAPageHasAsManyRecordsAsItMayInTheOrderOfTheKeys(t *testing.T) {
	t.Parallel()
	s := provision(t, &Store{key: ownKey()})
	open(t, s)
	for n := range rejected.MaxPage + 5 {
		reject(t, s, n)
	}
	first, next := list(t, s, rejected.Query{Limit: 5000})
	if len(first) != rejected.MaxPage || next == "" {
		t.Fatalf("the first page has %d records, and the cursor %q", len(first), next)
	}
	last, end := list(t, s, rejected.Query{Limit: 5, Cursor: next})
	if len(last) != 5 || end != "" || last[0].Key.String() != next {
		t.Errorf("the last page has %d records, and the cursor %q", len(last), end)
	}
	if !slices.IsSortedFunc(append(first, last...), func(a, b rejected.Entry) int { return compare(a.Key, b.Key) }) {
		t.Error("they have another order")
	}
}

func TestThatARecordIsListedDoesNotKeepItFromBeingForgotten(t *testing.T) {
	t.Parallel()
	s := provision(t, &Store{key: ownKey(), MaxEntries: 2})
	open(t, s)
	reject(t, s, 1)
	reject(t, s, 2)
	list(t, s, rejected.Query{Prefix: key(1).String()})
	reject(t, s, 3)
	if known(t, s, 1) || !known(t, s, 2) || !known(t, s, 3) {
		t.Error("the least recently used record is not the forgotten one")
	}
}

// The map and the list of the table take as much as before records knew their app.
func TestAnAppCostsARecordAPointer(t *testing.T) {
	t.Parallel()
	if size, most := reflect.TypeFor[packed]().Size(), uintptr(120); size > most {
		t.Errorf("a record takes %d bytes, want at most %d", size, most)
	}
	s := provision(t, &Store{key: ownKey()})
	open(t, s)
	var apps [2]*byte
	for n := range apps {
		v := rejected.Verdict{App: strings.Clone("org.example.*"), Reason: "gone", At: s.now()}
		if err := s.Reject(t.Context(), key(n), v); err != nil {
			t.Fatal(err)
		}
		r, err := s.Get(t.Context(), key(n))
		if err != nil || r.App != v.App {
			t.Fatalf("Get: %+v, %v", r, err)
		}
		apps[n] = unsafe.StringData(r.App)
	}
	if apps[0] != apps[1] {
		t.Error("two records of an app do not share its name")
	}
}
