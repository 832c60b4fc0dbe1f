package file

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func TestDepthsAndListsAreOfWhatIsWritten(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	accept(t, b, entry("a", "1"))
	goOn := busy(t, b)
	accepted := make(chan error)
	go func() { accepted <- tryAccept(t.Context(), b, entry("b", "2")) }()
	waitFor(t, func() bool { return queued(b) == 1 })
	depths, err := b.Depths(t.Context())
	page, _, listErr := b.List(t.Context(), app, "", 10)
	if err = errors.Join(err, listErr); err != nil || len(depths) != 1 || depths[0].Entries != 1 || depths[0].Devices != 1 || len(page) != 1 {
		t.Errorf("while it is being written: %v, %v, %v", depths, page, err)
	}
	goOn()
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	if depths, err := b.Depths(t.Context()); err != nil || len(depths) != 1 || depths[0].Entries != 2 || depths[0].Devices != 2 {
		t.Errorf("when it is written: %v, %v", depths, err)
	}
}

func TestAppsAreShownInTheOrderOfTheirNames(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	for _, name := range []string{"c", "a", "d", "b"} {
		e := entry("a", name)
		e.App = name
		accept(t, b, e)
	}
	depths, err := b.Depths(t.Context())
	var names []string
	for _, d := range depths {
		names = append(names, d.App)
	}
	if err != nil || !slices.Equal(names, []string{"a", "b", "c", "d"}) {
		t.Errorf("the apps are %q, %v", names, err)
	}
}

func TestAnEntryIsGoneFromTheDiskWhenItWasDropped(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	accept(t, b, entry("a", "1"), entry("a", "2"), entry("a", "3"))
	for _, tt := range []struct {
		id            string
		dropped, left int
	}{{"2", 1, 2}, {"2", 0, 2}, {"", 2, 0}} {
		before := txid(t, b)
		n, err := b.Drop(t.Context(), app, deviceOf("a"), tt.id)
		if err != nil || n != tt.dropped || keys(t, b, entryBucket) != tt.left {
			t.Errorf("Drop %q: %d, %v; %d are left on disk, want %d", tt.id, n, err, keys(t, b, entryBucket), tt.left)
		}
		if n := txid(t, b) - before; n != min(1, tt.dropped) {
			t.Errorf("Drop %q took %d transactions", tt.id, n)
		}
	}
}

func TestNobodyLeasesWhatIsBeingDropped(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	accept(t, b, entry("a", "1"), entry("a", "2"))
	goOn := busy(t, b)
	dropped := make(chan error)
	go func() {
		_, err := b.Drop(t.Context(), app, deviceOf("a"), "1")
		dropped <- err
	}()
	waitFor(t, func() bool { return queued(b) == 1 })
	granted, _, _ := b.db.index.take(app, 10, time.Now())
	if len(granted) != 1 || granted[0].item.id != "2" {
		t.Errorf("leased %d devices, want that of the entry behind", len(granted))
	}
	goOn()
	if err := <-dropped; err != nil {
		t.Error(err)
	}
	settle(t, b, ref("a", "2"))
}

// The operator sees that these entries are still there. So they must be there, in their place, and with as many attempts as before.
func TestWhatCannotBeDroppedStaysAsItWas(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t), MaxPerApp: 4, MaxPerDevice: 3})
	late := entry("b", "4")
	late.Due = time.Now().Add(time.Hour)
	accept(t, b, entry("a", "1"), entry("a", "2"), entry("a", "3"), late)
	for range 3 {
		for i, err := range failing(t, b,
			func() error { _, err := b.Drop(t.Context(), app, deviceOf("a"), "1"); return err },
			func() error { _, err := b.Drop(t.Context(), app, deviceOf("a"), ""); return err },
			func() error { _, err := b.Drop(t.Context(), app, deviceOf("b"), ""); return err },
		) {
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), b.Path) {
				t.Errorf("Drop %d: error %v, want ENOSPC and the path", i, err)
			}
		}
	}
	wantFull(t, b)
	page, _, err := b.List(t.Context(), app, "", 10)
	var ids []string
	for _, w := range page {
		ids = append(ids, w.ID)
	}
	if err != nil || !slices.Equal(ids, []string{"1", "2", "3", "4"}) {
		t.Fatalf("listed are %q, %v", ids, err)
	}
	if w := page[3]; w.Attempts != 1 || !w.Due.Equal(late.Due) {
		t.Errorf("the one that is due later: %+v", w)
	}
	if depths, err := b.Depths(t.Context()); err != nil || depths[0] != (outbox.Depth{App: app, Entries: 4, Devices: 2, Full: true}) {
		t.Errorf("pending are %v, %v", depths, err)
	}
	if ids := drain(t, b); !slices.Equal(ids, []string{"1", "2", "3"}) {
		t.Errorf("it has %q", ids)
	}
}
