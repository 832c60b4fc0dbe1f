package memory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/rejectedtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	rejectedtest.Run(t, rejectedtest.Harness{
		New: func(t *testing.T, now func() time.Time) rejected.Store {
			s := provision(t, &Store{key: ownKey(), now: now})
			open(t, s)
			return s
		},
		Unopened: func(t *testing.T) rejected.Store { return provision(t, &Store{key: ownKey()}) },
		Close:    func(t *testing.T, s rejected.Store) { cleanup(t, s.(*Store)) },
	})
}

var keys atomic.Int64

// ownKey keeps parallel tests from sharing a table.
func ownKey() string { return fmt.Sprint("test ", keys.Add(1)) }

func provision(t *testing.T, s *Store) *Store {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	if err := errors.Join(s.Provision(ctx), s.Validate()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cleanup(t, s) })
	return s
}

func open(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Open(t.Context()); err != nil {
		t.Fatalf("Open: %v", err)
	}
}

func cleanup(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Cleanup(); err != nil {
		t.Errorf("Cleanup: %v", err)
	}
}

func key(n int) rejected.Key { return rejected.KeyOf("org.example.app", fmt.Sprint(n)) }

func reject(t *testing.T, s *Store, n int) {
	t.Helper()
	v := rejected.Verdict{Reason: "gone", PushkeyTS: 1000, At: s.now()}
	if err := s.Reject(t.Context(), key(n), v); err != nil {
		t.Fatalf("Reject: %v", err)
	}
}

func known(t *testing.T, s *Store, n int) bool {
	t.Helper()
	marks := make([]rejected.Mark, 1)
	if err := s.Lookup(t.Context(), []rejected.Key{key(n)}, marks); err != nil {
		t.Fatalf("Lookup: %v", err)
	}
	return marks[0] != rejected.Mark{}
}

func TestBeyondMaxEntriesTheLeastRecentlyUsedIsForgotten(t *testing.T) {
	t.Parallel()
	s := provision(t, &Store{key: ownKey(), MaxEntries: 2})
	open(t, s)
	reject(t, s, 1)
	reject(t, s, 2)
	known(t, s, 1)
	reject(t, s, 3)
	for n, want := range map[int]bool{1: true, 2: false, 3: true} {
		if got := known(t, s, n); got != want {
			t.Errorf("record %d is known: %v, want %v", n, got, want)
		}
	}
}

func TestAReloadKeepsTheRecordsAndAppliesTheNewSettings(t *testing.T) {
	t.Parallel()
	poolKey := ownKey()
	old := provision(t, &Store{key: poolKey, MaxEntries: 10})
	open(t, old)
	for n := range 3 {
		reject(t, old, n)
	}
	s := provision(t, &Store{key: poolKey, MaxEntries: 2, Expire: caddy.Duration(time.Hour)})
	if n := old.Len(); n != 3 {
		t.Errorf("%d records when the new configuration is not live yet, want 3", n)
	}
	open(t, s)
	cleanup(t, old)
	if known(t, s, 0) || !known(t, s, 1) || !known(t, s, 2) {
		t.Error("want the 2 newest records")
	}
	if n := s.Len(); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
	if s.table.expire != time.Hour {
		t.Errorf("expire = %v, want the new configuration's", s.table.expire)
	}
	if !known(t, old, 2) {
		t.Error("a request of the old configuration cannot finish")
	}
}

func TestAFailedReloadLeavesTheOldSettings(t *testing.T) {
	t.Parallel()
	poolKey := ownKey()
	old := provision(t, &Store{key: poolKey})
	open(t, old)
	reject(t, old, 1)

	cleanup(t, provision(t, &Store{key: poolKey, Expire: caddy.Duration(time.Hour)}))
	s := provision(t, &Store{key: poolKey, Expire: caddy.Duration(time.Hour)})
	open(t, s)
	cleanup(t, s)

	if old.table.expire != rejected.DefaultExpire {
		t.Errorf("expire = %v, want the old configuration's", old.table.expire)
	}
	if !known(t, old, 1) {
		t.Error("the record is gone")
	}
}

func TestCleanupIsHarmlessHoweverFarProvisioningGot(t *testing.T) {
	t.Parallel()
	cleanup(t, new(Store))
	poolKey := ownKey()
	s := provision(t, &Store{key: poolKey})
	other := provision(t, &Store{key: poolKey})
	open(t, other)
	cleanup(t, s)
	cleanup(t, s)
	reject(t, other, 1) // still has its share
	if err := s.Open(t.Context()); !errors.Is(err, rejected.ErrNotOpen) {
		t.Errorf("Open after Cleanup: %v, want ErrNotOpen", err)
	}
}

func TestWithoutProvisionNothingIsOpen(t *testing.T) {
	t.Parallel()
	var s Store
	ctx := context.Background()
	_, err := s.Get(ctx, key(1))
	_, _, listErr := s.List(ctx, rejected.Query{})
	for _, err := range []error{
		err, listErr, s.Lookup(ctx, nil, nil), s.Reject(ctx, key(1), rejected.Verdict{}), s.Forget(ctx, key(1)), s.Open(ctx),
	} {
		if !errors.Is(err, rejected.ErrNotOpen) {
			t.Errorf("error %v, want ErrNotOpen", err)
		}
	}
	if n := s.Len(); n != 0 {
		t.Errorf("%d records", n)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		s    Store
		want string
	}{
		{"a negative bound", Store{MaxEntries: -1, Expire: caddy.Duration(time.Hour)}, "max_entries: "},
		{"a negative expiry", Store{MaxEntries: 1, Expire: -1}, "expire: "},
		{"an expiry in no time", Store{MaxEntries: 1, Expire: 90}, "expire: "},
	} {
		if err := tt.s.Validate(); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one that begins with %q", tt.name, err, tt.want)
		}
	}
}

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	storetest.Caddyfile(t, []storetest.Segment[Store]{
		{Name: "nothing but the name", In: `memory`},
		{Name: "an empty block", In: "memory {\n}"},
		{
			Name: "all options", In: "memory {\nmax_entries 5\nexpire 90d\n}",
			Want: Store{MaxEntries: 5, Expire: caddy.Duration(rejected.DefaultExpire)},
		},
		{Name: "an argument", In: `memory x`, Err: "wrong argument count"},
		{Name: "an unknown option", In: "memory {\nsize 5\n}", Err: `no option "size"`},
		{Name: "an option twice", In: "memory {\nexpire 1d\nexpire 2d\n}", Err: "expire is given twice"},
		{Name: "max_entries without a value", In: "memory {\nmax_entries\n}", Err: "wrong argument count"},
		{Name: "max_entries of two values", In: "memory {\nmax_entries 1 2\n}", Err: "wrong argument count"},
		{Name: "max_entries that is a word", In: "memory {\nmax_entries many\n}", Err: `"many" is not a positive number`},
		{Name: "max_entries of none", In: "memory {\nmax_entries 0\n}", Err: `"0" is not a positive number`},
		{Name: "expire without a value", In: "memory {\nexpire\n}", Err: "wrong argument count"},
		{Name: "expire that is not a duration", In: "memory {\nexpire soon\n}", Err: `"soon" is not a positive duration`},
		{Name: "expire in the past", In: "memory {\nexpire -1h\n}", Err: `"-1h" is not a positive duration`},
	})
}
