// Package storetest has what the tests of the outboxes and the rejected stores share.
package storetest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Module is a store.
type Module interface {
	caddy.Provisioner
	caddy.CleanerUpper
	Open(ctx context.Context) error
}

// Fixture provisions stores of a kind, and cleans them up when a test is over.
type Fixture[M Module] struct {
	// Before prepares a store, and After does what Cleanup leaves to the test. Both may be nil.
	Before func(M)
	After  func(testing.TB, M)
}

// TryProvision is Provision, but returns the error.
func (f Fixture[M]) TryProvision(t testing.TB, m M) error {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	t.Cleanup(func() {
		Cleanup(t, m)
		if f.After != nil {
			f.After(t, m)
		}
	})
	if f.Before != nil {
		f.Before(m)
	}
	return m.Provision(ctx)
}

// Provision provisions a store.
func (f Fixture[M]) Provision(t testing.TB, m M) M {
	t.Helper()
	if err := f.TryProvision(t, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// Opened provisions and opens a store.
func (f Fixture[M]) Opened(t testing.TB, m M) M {
	t.Helper()
	f.Provision(t, m)
	Open(t, m)
	return m
}

// Open opens a store.
func Open(t testing.TB, m Module) {
	t.Helper()
	if err := m.Open(context.Background()); err != nil {
		t.Fatalf("Open: %v", err)
	}
}

// Cleanup cleans a store up.
func Cleanup(t testing.TB, m Module) {
	t.Helper()
	if err := m.Cleanup(); err != nil {
		t.Errorf("Cleanup: %v", err)
	}
}

// Setting is a store that cannot be provisioned, and the beginning of the error.
type Setting[T any] struct {
	Name  string
	Store T
	Want  string
}

// Secret is part of settings that no error may show.
const Secret = "s3cret"

// Refused tests that settings are refused.
func Refused[T any](t *testing.T, provision func(testing.TB, *T) error, tests []Setting[T]) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			err := provision(t, &tt.Store)
			if err == nil || !strings.HasPrefix(err.Error(), tt.Want) || strings.Contains(err.Error(), Secret) {
				t.Errorf("error %v, want one that begins with %q, without the secret", err, tt.Want)
			}
		})
	}
}

// Segment is a module's segment of a Caddyfile, and the store that it configures, or a part of the error.
type Segment[T any] struct {
	Name, In string
	Want     T
	Err      string
}

// Caddyfile tests how segments of a Caddyfile are read.
func Caddyfile[T any, P interface {
	*T
	caddyfile.Unmarshaler
}](t *testing.T, tests []Segment[T],
) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			store := new(T)
			err := P(store).UnmarshalCaddyfile(caddyfile.NewTestDispenser(tt.In))
			got, want := string(caddyconfig.JSON(store, nil)), string(caddyconfig.JSON(&tt.Want, nil))
			switch {
			case tt.Err == "" && err != nil:
				t.Fatal(err)
			case tt.Err != "" && (err == nil || !strings.Contains(err.Error(), tt.Err)):
				t.Fatalf("error %v, want one with %q", err, tt.Err)
			case tt.Err == "" && got != want:
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// Paths tests that a store's file has a default path, and that placeholders in a path are replaced, but not in the configuration. provision
// provisions a store with a path. It returns the path that the store uses, and the one in its configuration afterwards.
func Paths(t *testing.T, file string, provision func(t *testing.T, path string) (used, configured string)) {
	t.Helper()
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	for path, want := range map[string]string{
		"":                           filepath.Join(caddy.AppDataDir(), "matrix_push", file),
		"{env.XDG_DATA_HOME}/own.db": filepath.Join(data, "own.db"),
	} {
		if used, configured := provision(t, path); used != want || configured != path {
			t.Errorf("path %q is %s, and %q in the configuration; want %s", path, used, configured, want)
		}
	}
}

// Private tests that only the owner can access a file and its directory.
func Private(t *testing.T, path string) {
	t.Helper()
	for path, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}
