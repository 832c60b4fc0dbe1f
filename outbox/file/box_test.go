package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
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
	storetest.Refused(t, tryProvision, []storetest.Setting[Box]{
		{Name: "a directory", Store: Box{Path: dir}, Want: "path: " + dir + " is a directory"},
		{Name: "a device", Store: Box{Path: os.DevNull}, Want: "path: " + os.DevNull + " is not a regular file"},
		{Name: "a file below a file", Store: Box{Path: filepath.Join(plain, "outbox.db")}, Want: "path: "},
		{Name: "an unknown placeholder", Store: Box{Path: "{no.such}/outbox.db"}, Want: "path: "},
		{Name: "an empty placeholder", Store: Box{Path: "{env.MATRIX_PUSH_NEVER_SET}"}, Want: "path: "},
		{Name: "a negative bound of an app", Store: Box{MaxPerApp: -1}, Want: "max_per_app: "},
		{Name: "a negative bound of a device", Store: Box{MaxPerDevice: -1}, Want: "max_per_device: "},
		{Name: "a negative size", Store: Box{MaxSize: -1}, Want: "max_size: "},
	})
}

func TestThePathHasADefaultAndPlaceholders(t *testing.T) {
	storetest.Paths(t, "outbox.db", func(t *testing.T, path string) (used, configured string) {
		b := provision(t, &Box{Path: path})
		return b.db.path, b.Path
	})
}

func TestOnlyTheOwnerCanAccessFileAndDirectory(t *testing.T) {
	t.Parallel()
	storetest.Private(t, opened(t, &Box{Path: tempPath(t)}).Path)
}

// wantNotOpen makes every call to a box that is not open.
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
	b.Note([16]byte{}, deviceOf("event"), time.Now().Add(time.Hour))
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
	open(t, b) // a second time is not an error
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
	storetest.Caddyfile(t, []storetest.Segment[Box]{
		{Name: "nothing but the name", In: `file`},
		{Name: "an empty block", In: "file {\n}"},
		{Name: "a path", In: `file /var/lib/x.db`, Want: Box{Path: "/var/lib/x.db"}},
		{Name: "a path with a placeholder, which stays", In: `file {env.DIR}/x.db`, Want: Box{Path: "{env.DIR}/x.db"}},
		{
			Name: "everything", In: "file x.db {\nmax_per_app 5000\nmax_per_device 20\nmax_size 1GiB\n}",
			Want: Box{Path: "x.db", MaxPerApp: 5000, MaxPerDevice: 20, MaxSize: 1 << 30},
		},
		{Name: "a size without a unit", In: "file {\nmax_size 1000\n}", Want: Box{MaxSize: 1000}},
		{Name: "two paths", In: `file x.db y.db`, Err: "wrong argument count"},
		{Name: "an empty path", In: `file ""`, Err: "the path is empty"},
		{Name: "an unknown option", In: "file {\nttl 5m\n}", Err: `no option "ttl"`},
		{Name: "an option twice", In: "file {\nmax_size 1MB\nmax_size 1MB\n}", Err: "max_size is given twice"},
		{Name: "a number without a value", In: "file {\nmax_per_app\n}", Err: "wrong argument count"},
		{Name: "a number of two values", In: "file {\nmax_per_app 1 2\n}", Err: "wrong argument count"},
		{Name: "a word for a number", In: "file {\nmax_per_app many\n}", Err: `max_per_app: "many" is not a number above 0`},
		{Name: "a number of zero", In: "file {\nmax_per_device 0\n}", Err: `max_per_device: "0" is not a number above 0`},
		{Name: "a number below zero", In: "file {\nmax_per_device -1\n}", Err: `max_per_device: "-1" is not a number above 0`},
		{Name: "a word for a size", In: "file {\nmax_size large\n}", Err: `max_size: "large" is not a size`},
		{Name: "a size of zero", In: "file {\nmax_size 0\n}", Err: `max_size: "0" is not a size`},
		{Name: "a size beyond all bounds", In: "file {\nmax_size 15EiB\n}", Err: `max_size: "15EiB" is not a size`},
	})
}
