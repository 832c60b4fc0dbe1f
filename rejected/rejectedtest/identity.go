package rejectedtest

import (
	"math"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// This is the input of the review that found a living pushkey rejected until 2106.
func futurePushkeyTS(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(math.MaxInt64))
	f.expect(keyA, ts(0), true)
	for _, registered := range []int64{ts(1), 1_795_930_001_000, 4_102_444_800_000, math.MaxInt64} {
		f.expect(keyA, registered, false)
	}
	f.reject(keyA, f.verdict(ts(-5))) // an honest one widens nothing
	f.expect(keyA, ts(1), false)
	if h.Reopen != nil {
		f.reopen()
		f.expect(keyA, ts(0), true)
		f.expect(keyA, ts(1), false)
	}
}

// These are two subscriptions, and keys that share only the pushkey.
var (
	atOne   = rejected.KeyAt("org.example.app", "a", "https://one.example/up")
	atOther = rejected.KeyAt("org.example.app", "a", "https://other.example/up")
)

func targets(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(atOne, f.verdict(ts(0)))
	f.suspect(atOther)
	f.elapse(time.Second)
	marks := f.lookup(atOther, keyA, atOne)
	if marks[0].Rejects(ts(0), f.clock.Now()) || marks[1] != (rejected.Mark{}) || !marks[2].Rejects(ts(0), f.clock.Now()) {
		t.Errorf("the marks are %+v", marks)
	}
	f.forget(atOther)
	f.expect(atOne, ts(0), true)
	f.forget(atOne)
	f.expectGone(atOne)
}

func listFamily(t *testing.T, h Harness) {
	f := newFixture(t, h)
	lister, ok := f.s.(rejected.Lister)
	if !ok {
		t.Skip("the store is not a rejected.Lister")
	}
	for _, k := range []rejected.Key{keyA, atOne, atOther, keyB, keyC} {
		f.reject(k, f.verdict(0))
	}
	found := make(map[rejected.Key]bool)
	for q := (rejected.Query{Prefix: keyA.Family()}); ; {
		page, next, err := lister.List(t.Context(), q)
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		for _, e := range page {
			found[e.Key] = true
		}
		if next == "" {
			break
		}
		q.Cursor = next
	}
	if len(found) != 3 || !found[keyA] || !found[atOne] || !found[atOther] {
		t.Errorf("found %v", found)
	}
}

// changes have names that a store might mishandle.
var changes = []string{"identity *", "", "identity org.example.*", "a\x00b", "ü {x}:[y]?", string(make([]byte, 300))}

// migrator returns the fixture's store, if it is a Migrator.
func (f *fixture) migrator() rejected.Migrator {
	f.Helper()
	m, ok := f.s.(rejected.Migrator)
	if !ok {
		f.Skip("the store is not a rejected.Migrator")
	}
	return m
}

func (f *fixture) expectMigrated(change string, want bool) {
	f.Helper()
	if got, err := f.migrator().Migrated(f.Context(), change); err != nil || got != want {
		f.Errorf("the change %q is noted: %v, %v; want %v", change, got, err, want)
	}
}

func (f *fixture) noteMigrated(change string) {
	f.Helper()
	if err := f.migrator().NoteMigrated(f.Context(), change); err != nil {
		f.Fatalf("NoteMigrated: %v", err)
	}
}

func migrate(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(0)))
	for i, change := range changes {
		f.expectMigrated(change, false)
		f.noteMigrated(change)
		f.noteMigrated(change)
		for j, other := range changes {
			f.expectMigrated(other, j <= i)
		}
	}
	f.expect(keyA, ts(0), true)
	if lister, ok := f.s.(rejected.Lister); ok {
		if page, _, err := lister.List(t.Context(), rejected.Query{}); err != nil || len(page) > 1 {
			t.Errorf("%d records are listed, %v; a change is not a record", len(page), err)
		}
	}
	if sizer, ok := f.s.(rejected.Sizer); ok && sizer.Len() != 1 {
		t.Errorf("%d records are counted; a change is not a record", sizer.Len())
	}
}

func restartAfterMigration(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.noteMigrated(changes[0])
	f.reopen()
	f.expectMigrated(changes[0], true)
	f.expectMigrated(changes[2], false)
}
