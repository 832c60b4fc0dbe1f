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
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

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
	tests := []struct {
		name string
		s    Store
		want string
	}{
		{"a directory", Store{Path: dir}, "path: " + dir + " is a directory"},
		{"a device", Store{Path: os.DevNull}, "path: " + os.DevNull + " is not a regular file"},
		{"a file below a file", Store{Path: filepath.Join(plain, "rejected.db")}, "path: "},
		{"an unknown placeholder", Store{Path: "{no.such}/rejected.db"}, "path: "},
		{"an empty placeholder", Store{Path: "{env.MATRIX_PUSH_NEVER_SET}"}, "path: "},
		{"a negative expiry", Store{Expire: -1}, "expire: "},
		{"an expiry in no time", Store{Expire: 90}, "expire: "},
		{"room for few", Store{MaxEntries: 9999}, "max_entries: must be at least 10000"},
		{"room for less than none", Store{MaxEntries: -1}, "max_entries: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := tryProvision(t, &tt.s); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error %v, want one that begins with %q", err, tt.want)
			}
		})
	}
}

func TestThePathHasADefaultAndPlaceholders(t *testing.T) {
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	for path, want := range map[string]string{
		"":                           filepath.Join(caddy.AppDataDir(), "matrix_push", "rejected.db"),
		"{env.XDG_DATA_HOME}/own.db": filepath.Join(data, "own.db"),
	} {
		if s := provision(t, &Store{Path: path}); s.db.path != want || s.Path != path {
			t.Errorf("path %q is %s, and %q in the configuration; want %s", path, s.db.path, s.Path, want)
		}
	}
}

func TestFileAndDirectoryAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	s := opened(t, &Store{Path: tempPath(t)})
	for path, want := range map[string]os.FileMode{s.Path: 0o600, filepath.Dir(s.Path): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
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
		t.Error("app_id or pushkey stand in the file")
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
		t.Errorf("expire = %v, want that of the old configuration", time.Duration(got))
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
	tests := []struct {
		name, in string
		want     Store
		err      string
	}{
		{name: "nothing but the name", in: `file`},
		{name: "an empty block", in: "file {\n}"},
		{name: "a path", in: `file /var/lib/x.db`, want: Store{Path: "/var/lib/x.db"}},
		{name: "a path with a placeholder, which stays", in: `file {env.DIR}/x.db`, want: Store{Path: "{env.DIR}/x.db"}},
		{name: "an expiry", in: "file {\nexpire 90d\n}", want: Store{Expire: ninety}},
		{name: "both", in: "file x.db {\nexpire 90d\n}", want: Store{Path: "x.db", Expire: ninety}},
		{name: "all options", in: "file x.db {\nmax_entries 20000\nexpire 90d\n}", want: Store{Path: "x.db", Expire: ninety, MaxEntries: 20000}},
		{name: "max_entries twice", in: "file {\nmax_entries 20000\nmax_entries 20000\n}", err: "max_entries is given twice"},
		{name: "max_entries that is no number", in: "file {\nmax_entries many\n}", err: `"many" is not a positive number`},
		{name: "max_entries of none", in: "file {\nmax_entries 0\n}", err: `"0" is not a positive number`},
		{name: "max_entries without a value", in: "file {\nmax_entries\n}", err: "wrong argument count"},
		{name: "two paths", in: `file x.db y.db`, err: "wrong argument count"},
		{name: "an empty path", in: `file ""`, err: "the path is empty"},
		{name: "an unknown option", in: "file {\nttl 5m\n}", err: `no option "ttl"`},
		{name: "an option twice", in: "file {\nexpire 1d\nexpire 2d\n}", err: "expire is given twice"},
		{name: "expire without a value", in: "file {\nexpire\n}", err: "wrong argument count"},
		{name: "expire of two values", in: "file {\nexpire 1d 2d\n}", err: "wrong argument count"},
		{name: "expire that is no duration", in: "file {\nexpire soon\n}", err: `"soon" is not a positive duration`},
		{name: "expire in the past", in: "file {\nexpire -1h\n}", err: `"-1h" is not a positive duration`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s Store
			err := s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tt.in))
			switch {
			case tt.err == "" && err != nil:
				t.Fatal(err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Fatalf("error %v, want one with %q", err, tt.err)
			case tt.err == "" && (s.Path != tt.want.Path || s.Expire != tt.want.Expire || s.MaxEntries != tt.want.MaxEntries):
				t.Errorf("got %+v, want %+v", s, tt.want)
			}
		})
	}
}
