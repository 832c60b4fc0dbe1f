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

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func TestProvisionTouchesNoFile(t *testing.T) {
	t.Parallel()
	b := provision(t, &Box{Path: tempPath(t)})
	cleanup(t, b)
	if _, err := os.Stat(filepath.Dir(b.Path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory exists (%v)", err)
	}
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
		b    Box
		want string
	}{
		{"a directory", Box{Path: dir}, "path: " + dir + " is a directory"},
		{"a device", Box{Path: os.DevNull}, "path: " + os.DevNull + " is not a regular file"},
		{"a file below a file", Box{Path: filepath.Join(plain, "outbox.db")}, "path: "},
		{"an unknown placeholder", Box{Path: "{no.such}/outbox.db"}, "path: "},
		{"an empty placeholder", Box{Path: "{env.MATRIX_PUSH_NEVER_SET}"}, "path: "},
		{"a negative bound of an app", Box{MaxPerApp: -1}, "max_per_app: "},
		{"a negative bound of a device", Box{MaxPerDevice: -1}, "max_per_device: "},
		{"a negative size", Box{MaxSize: -1}, "max_size: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := tryProvision(t, &tt.b); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error %v, want one that begins with %q", err, tt.want)
			}
		})
	}
}

func TestThePathHasADefaultAndPlaceholders(t *testing.T) {
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	for path, want := range map[string]string{
		"":                           filepath.Join(caddy.AppDataDir(), "matrix_push", "outbox.db"),
		"{env.XDG_DATA_HOME}/own.db": filepath.Join(data, "own.db"),
	} {
		if b := provision(t, &Box{Path: path}); b.db.path != want || b.Path != path {
			t.Errorf("path %q is %s, and %q in the configuration; want %s", path, b.db.path, b.Path, want)
		}
	}
}

func TestFileAndDirectoryAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	for path, want := range map[string]os.FileMode{b.Path: 0o600, filepath.Dir(b.Path): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

// wantNotOpen asks everything of a box that is not open.
func wantNotOpen(t *testing.T, b *Box) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, waiting := b.Waiting(ctx, app, deviceOf("a"))
	_, lease := b.Lease(ctx, app, 1)
	depths, depthsErr := b.Depths(ctx)
	page, _, listErr := b.List(ctx, app, "", 10)
	_, rouseErr := b.RouseDevice(ctx, app, deviceOf("a"))
	_, hostErr := b.RouseHost(ctx, app, "one", 1)
	_, dropErr := b.Drop(ctx, app, deviceOf("a"), "")
	if len(depths) != 0 || len(page) != 0 {
		t.Errorf("it shows %v and %v", depths, page)
	}
	for op, err := range map[string]error{
		"Accept":  tryAccept(ctx, b, entry("a", "1")),
		"Settle":  b.Settle(ctx, ref("a", "1")),
		"Discard": b.Discard(ctx, app, deviceOf("a"), 1000),
		"Recall":  b.Recall(ctx, func([16]byte) { t.Error("Recall: an event") }),
		"Waiting": waiting, "Lease": lease, "Depths": depthsErr, "List": listErr, "RouseDevice": rouseErr, "RouseHost": hostErr,
		"Drop": dropErr,
	} {
		if !errors.Is(err, outbox.ErrNotOpen) {
			t.Errorf("%s: error %v, want ErrNotOpen", op, err)
		}
	}
	b.Note(deviceOf("event"), time.Now().Add(time.Hour))
	for op, err := range map[string]error{
		"Release": b.Release(ctx, ref("a", "1"), time.Now(), true),
		"Rouse":   b.Rouse(ctx, app),
	} {
		if err != nil {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func TestABoxIsOpenWhileItsConfigurationIsLive(t *testing.T) {
	t.Parallel()
	b := provision(t, &Box{Path: tempPath(t)})
	wantNotOpen(t, b)
	open(t, b)
	open(t, b) // a second time is no error
	accept(t, b, entry("a", "1"))
	cleanup(t, b)
	wantNotOpen(t, b)
}

func TestCleanupIsHarmlessHoweverFarProvisioningGot(t *testing.T) {
	t.Parallel()
	cleanup(t, new(Box))
	other := opened(t, &Box{Path: tempPath(t)})
	b := provision(t, &Box{Path: other.Path})
	cleanup(t, b)
	cleanup(t, b)
	accept(t, other, entry("a", "1")) // still has its share
	if err := b.Open(t.Context()); !errors.Is(err, outbox.ErrNotOpen) {
		t.Errorf("Open after Cleanup: %v, want ErrNotOpen", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := provision(t, &Box{Path: tempPath(t)}).Open(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Open in a context that ended: %v", err)
	}
}

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     Box
		err      string
	}{
		{name: "nothing but the name", in: `file`},
		{name: "an empty block", in: "file {\n}"},
		{name: "a path", in: `file /var/lib/x.db`, want: Box{Path: "/var/lib/x.db"}},
		{name: "a path with a placeholder, which stays", in: `file {env.DIR}/x.db`, want: Box{Path: "{env.DIR}/x.db"}},
		{
			name: "everything", in: "file x.db {\nmax_per_app 5000\nmax_per_device 20\nmax_size 1GiB\n}",
			want: Box{Path: "x.db", MaxPerApp: 5000, MaxPerDevice: 20, MaxSize: 1 << 30},
		},
		{name: "a size without a unit", in: "file {\nmax_size 1000\n}", want: Box{MaxSize: 1000}},
		{name: "two paths", in: `file x.db y.db`, err: "wrong argument count"},
		{name: "an empty path", in: `file ""`, err: "the path is empty"},
		{name: "an unknown option", in: "file {\nttl 5m\n}", err: `no option "ttl"`},
		{name: "an option twice", in: "file {\nmax_size 1MB\nmax_size 1MB\n}", err: "max_size is given twice"},
		{name: "a number without a value", in: "file {\nmax_per_app\n}", err: "wrong argument count"},
		{name: "a number of two values", in: "file {\nmax_per_app 1 2\n}", err: "wrong argument count"},
		{name: "a number that is none", in: "file {\nmax_per_app many\n}", err: `max_per_app: "many" is not a number above 0`},
		{name: "a number of zero", in: "file {\nmax_per_device 0\n}", err: `max_per_device: "0" is not a number above 0`},
		{name: "a number below zero", in: "file {\nmax_per_device -1\n}", err: `max_per_device: "-1" is not a number above 0`},
		{name: "a size that is none", in: "file {\nmax_size large\n}", err: `max_size: "large" is not a size`},
		{name: "a size of zero", in: "file {\nmax_size 0\n}", err: `max_size: "0" is not a size`},
		{name: "a size beyond all bounds", in: "file {\nmax_size 15EiB\n}", err: `max_size: "15EiB" is not a size`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b Box
			err := b.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tt.in))
			switch {
			case tt.err == "" && err != nil:
				t.Fatal(err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Fatalf("error %v, want one with %q", err, tt.err)
			case tt.err == "" && b != tt.want:
				t.Errorf("got %+v, want %+v", b, tt.want)
			}
		})
	}
}
