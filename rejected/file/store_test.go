package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestProvisionTouchesNoFile(t *testing.T) {
	t.Parallel()
	s := provision(t, &Store{Path: tempPath(t)})
	wantNoFile(t, filepath.Dir(s.Path))
	cleanup(t, s)
	wantNoFile(t, filepath.Dir(s.Path))
}

func TestAnImpossibleSettingFailsTheLoadAndNamesTheField(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	storetest.Refused(t, tryProvision, []storetest.Setting[Store]{
		{Name: "a directory", Store: Store{Path: dir}, Want: "path: " + dir + " is a directory"},
		{Name: "a device", Store: Store{Path: os.DevNull}, Want: "path: " + os.DevNull + " is not a regular file"},
		{Name: "a file below a file", Store: Store{Path: filepath.Join(plain, "rejected.db")}, Want: "path: "},
		{Name: "an unknown placeholder", Store: Store{Path: "{no.such}/rejected.db"}, Want: "path: "},
		{Name: "an empty placeholder", Store: Store{Path: "{env.MATRIX_PUSH_NEVER_SET}"}, Want: "path: "},
		{Name: "a negative expiry", Store: Store{Expire: -1}, Want: "expire: "},
		{Name: "an expiry in no time", Store: Store{Expire: 90}, Want: "expire: "},
		{Name: "room for few", Store: Store{MaxEntries: 9999}, Want: "max_entries: must be at least 10000"},
		{Name: "room for less than none", Store: Store{MaxEntries: -1}, Want: "max_entries: "},
	})
}

func TestThePathHasADefaultAndPlaceholders(t *testing.T) {
	storetest.Paths(t, "rejected.db", func(t *testing.T, path string) (used, configured string) {
		s := provision(t, &Store{Path: path})
		return s.db.path, s.Path
	})
}

func TestOnlyTheOwnerCanAccessFileAndDirectory(t *testing.T) {
	t.Parallel()
	storetest.Private(t, opened(t, &Store{Path: tempPath(t)}).Path)
}

func TestTheFileHoldsNoPushkey(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	const app, pushkey = "org.example.very-secret", "this-is-the-pushkey"
	if err := s.Reject(t.Context(), rejected.KeyOf(app, pushkey), verdict(s)); err != nil {
		t.Fatal(err)
	}
	cleanup(t, s)
	content, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), app) || strings.Contains(string(content), pushkey) {
		t.Error("the file has the app_id or the pushkey")
	}
}

func TestAReloadSharesTheOpenFileAndAppliesTheNewSettings(t *testing.T) {
	t.Parallel()
	old := opened(t, &Store{Path: tempPath(t)})
	reject(t, old, 1)
	s := opened(t, &Store{Path: old.Path, Expire: caddy.Duration(time.Hour)})
	if s.db != old.db {
		t.Fatal("two databases of one file")
	}
	cleanup(t, old)
	if got := s.db.interval(); got != 30*time.Minute {
		t.Errorf("swept every %v, want half of the new configuration's expiry", got)
	}
	if !known(t, s, 1) || !known(t, old, 1) {
		t.Error("the record is gone, or a request of the old configuration cannot finish")
	}
	reject(t, old, 2)
	cleanup(t, s)
	if err := s.Reject(t.Context(), key(3), rejected.Verdict{}); !errors.Is(err, rejected.ErrNotOpen) {
		t.Errorf("after the last configuration is gone: %v, want ErrNotOpen", err)
	}
}

func TestAFailedReloadLeavesTheOldConfigurationServing(t *testing.T) {
	t.Parallel()
	old := opened(t, &Store{Path: tempPath(t)})
	reject(t, old, 1)
	hour := caddy.Duration(time.Hour)
	cleanup(t, provision(t, &Store{Path: old.Path, Expire: hour}))
	cleanup(t, opened(t, &Store{Path: old.Path, Expire: hour}))
	if !known(t, old, 1) {
		t.Error("the record is gone")
	}
	reject(t, old, 2)
	if got := old.db.expire.Load(); got != int64(rejected.DefaultExpire) {
		t.Errorf("expire = %v, want the old configuration's", time.Duration(got))
	}
}

func TestCleanupIsHarmlessHoweverFarProvisioningGot(t *testing.T) {
	t.Parallel()
	cleanup(t, new(Store))
	other := opened(t, &Store{Path: tempPath(t)})
	s := provision(t, &Store{Path: other.Path})
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

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	ninety := caddy.Duration(rejected.DefaultExpire)
	storetest.Caddyfile(t, []storetest.Segment[Store]{
		{Name: "nothing but the name", In: `file`},
		{Name: "an empty block", In: "file {\n}"},
		{Name: "a path", In: `file /var/lib/x.db`, Want: Store{Path: "/var/lib/x.db"}},
		{Name: "a path with a placeholder, which stays", In: `file {env.DIR}/x.db`, Want: Store{Path: "{env.DIR}/x.db"}},
		{Name: "an expiry", In: "file {\nexpire 90d\n}", Want: Store{Expire: ninety}},
		{Name: "both", In: "file x.db {\nexpire 90d\n}", Want: Store{Path: "x.db", Expire: ninety}},
		{Name: "all options", In: "file x.db {\nmax_entries 20000\nexpire 90d\n}", Want: Store{Path: "x.db", Expire: ninety, MaxEntries: 20000}},
		{Name: "max_entries twice", In: "file {\nmax_entries 20000\nmax_entries 20000\n}", Err: "max_entries is given twice"},
		{Name: "max_entries that is a word", In: "file {\nmax_entries many\n}", Err: `"many" is not a positive number`},
		{Name: "max_entries of none", In: "file {\nmax_entries 0\n}", Err: `"0" is not a positive number`},
		{Name: "max_entries without a value", In: "file {\nmax_entries\n}", Err: "wrong argument count"},
		{Name: "two paths", In: `file x.db y.db`, Err: "wrong argument count"},
		{Name: "an empty path", In: `file ""`, Err: "the path is empty"},
		{Name: "an unknown option", In: "file {\nttl 5m\n}", Err: `no option "ttl"`},
		{Name: "an option twice", In: "file {\nexpire 1d\nexpire 2d\n}", Err: "expire is given twice"},
		{Name: "expire without a value", In: "file {\nexpire\n}", Err: "wrong argument count"},
		{Name: "expire of two values", In: "file {\nexpire 1d 2d\n}", Err: "wrong argument count"},
		{Name: "expire that is not a duration", In: "file {\nexpire soon\n}", Err: `"soon" is not a positive duration`},
		{Name: "expire in the past", In: "file {\nexpire -1h\n}", Err: `"-1h" is not a positive duration`},
	})
}
