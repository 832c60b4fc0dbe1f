package file

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func TestConfigurationsShareAFileAndTheNewestBoundsApply(t *testing.T) {
	t.Parallel()
	old := opened(t, &Box{Path: tempPath(t), MaxPerApp: 1})
	accept(t, old, entry("a", "1"))
	wantFull(t, old)

	b := opened(t, &Box{Path: old.Path, MaxPerApp: 2})
	accept(t, old, entry("a", "2")) // a request of the old configuration
	wantFull(t, b)
	failed := opened(t, &Box{Path: old.Path, MaxPerApp: 9})
	accept(t, b, entry("a", "3"))
	cleanup(t, failed)
	wantFull(t, b)
	cleanup(t, provision(t, &Box{Path: old.Path, MaxPerApp: 9})) // only validated
	wantFull(t, b)

	cleanup(t, old)
	settle(t, b, ref("a", "1"))
	settle(t, old, ref("a", "2"))
	accept(t, old, entry("a", "4"))
	if ids := drain(t, b); !slices.Equal(ids, []string{"3", "4"}) {
		t.Errorf("it has %q", ids)
	}
	cleanup(t, b)
	wantNotOpen(t, b)
	wantNotOpen(t, old)
}

func wantFull(t *testing.T, b *Box) {
	t.Helper()
	if _, err := b.Accept(t.Context(), entry("full", "full")); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("Accept: error %v, want ErrFull", err)
	}
}

func TestTheSizeIsBounded(t *testing.T) {
	t.Parallel()
	sized := func(dev, id string, size int) outbox.Entry {
		e := entry(dev, id)
		e.Push = make([]byte, size)
		if strings.HasPrefix(id, "badge") {
			e.Replace = outbox.ReplaceBadge
		}
		return e
	}
	b := opened(t, &Box{Path: tempPath(t), MaxSize: 1000})
	accept(t, b, sized("a", "1", 400), sized("b", "badge", 500), sized("b", "2", 100))
	wantFull(t, b)
	accept(t, b, sized("b", "badge again", 500)) // replaces the other
	wantFull(t, b)
	cleanup(t, b)
	b = opened(t, &Box{Path: b.Path, MaxSize: 1000})
	wantFull(t, b)
	settle(t, b, ref("a", "1"))
	accept(t, b, sized("c", "3", 400)) // a restart counts as before
	wantFull(t, b)
}

// attempts returns ways to have an attempt under way.
func attempts() map[string]func(t *testing.T, b *Box) {
	return map[string]func(t *testing.T, b *Box){
		"of an entry that was leased": func(t *testing.T, b *Box) {
			accept(t, b, entry("a", "1"))
			if leased, err := b.Lease(t.Context(), app, 1); err != nil || len(leased) != 1 {
				t.Fatalf("Lease: %v, %v", leased, err)
			}
		},
		"of an entry that was accepted with it": func(t *testing.T, b *Box) {
			e := entry("a", "1")
			e.Running = true
			accept(t, b, e)
		},
	}
}

func TestAnAttemptOutlivesItsConfiguration(t *testing.T) {
	t.Parallel()
	ends := map[string]func(t *testing.T, b *Box) (left []string){
		"it is settled": func(t *testing.T, b *Box) []string {
			settle(t, b, ref("a", "1"))
			return nil
		},
		"it is released": func(t *testing.T, b *Box) []string {
			if err := b.Release(t.Context(), ref("a", "1"), time.Now().Add(time.Hour), true); err != nil {
				t.Error(err)
			}
			return []string{"1"}
		},
		"its entry was discarded before": func(t *testing.T, b *Box) []string {
			if err := b.Discard(t.Context(), app, deviceOf("a"), 1000); err != nil {
				t.Error(err)
			}
			settle(t, b, ref("a", "1"))
			return nil
		},
	}
	for attempt, begin := range attempts() {
		for name, end := range ends {
			t.Run(attempt+", and "+name, func(t *testing.T) {
				t.Parallel()
				old := opened(t, &Box{Path: tempPath(t)})
				other := opened(t, &Box{Path: old.Path})
				begin(t, old)
				cleanup(t, old)
				cleanup(t, other)
				left := end(t, old)
				wantNotOpen(t, old)

				b := opened(t, &Box{Path: old.Path})
				if b.db == old.db {
					t.Error("the closed database was opened again")
				}
				if ids := drain(t, b); !slices.Equal(ids, left) {
					t.Errorf("the file has %q, want %q", ids, left)
				}
			})
		}
	}
}

func TestAReloadMeetsTheAttemptsUnderWay(t *testing.T) {
	t.Parallel()
	for attempt, begin := range attempts() {
		t.Run(attempt, func(t *testing.T) {
			t.Parallel()
			old := opened(t, &Box{Path: tempPath(t)})
			begin(t, old)
			cleanup(t, old) // only the attempt still has the file
			b := opened(t, &Box{Path: old.Path})
			accept(t, b, entry("a", "2"))
			if ids := drain(t, b); ids != nil {
				t.Errorf("leased %q beside the attempt", ids)
			}
			settle(t, old, ref("a", "1"))
			if ids := drain(t, b); !slices.Equal(ids, []string{"2"}) {
				t.Errorf("leased %q, want the next", ids)
			}
		})
	}
}

func TestAnAttemptThatBeginsTooLateKeepsNothingOpen(t *testing.T) {
	t.Parallel()
	old := opened(t, &Box{Path: tempPath(t)})
	e := entry("a", "1")
	e.Running = true
	goOn := busy(t, old)
	accepted, closed := make(chan error), make(chan error)
	go func() { accepted <- tryAccept(t.Context(), old, e) }()
	waitFor(t, func() bool { return queued(old) == 1 })
	go func() { closed <- old.Cleanup() }()
	waitFor(t, func() bool { _, shared := pool.References(old.Path); return !shared })
	goOn()
	if err := errors.Join(<-accepted, <-closed); err != nil {
		t.Fatal(err)
	}
	b := opened(t, &Box{Path: old.Path})
	if err := old.Settle(t.Context(), e.Ref()); !errors.Is(err, outbox.ErrNotOpen) {
		t.Errorf("Settle: error %v, want ErrNotOpen", err)
	}
	if ids := drain(t, b); !slices.Equal(ids, []string{"1"}) {
		t.Errorf("the file has %q, want the accepted ones", ids)
	}
}

func TestAfterARestartAllDevicesAreDue(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	e, later := entry("b", "running"), entry("c", "later")
	e.Running, later.Due = true, time.Now().Add(time.Hour)
	accept(t, b, entry("a", "1"), entry("a", "2"), e, later)
	if err := b.Release(t.Context(), e.Ref(), time.Now().Add(time.Hour), true); err != nil { // otherwise the file would stay open
		t.Error(err)
	}
	cleanup(t, b)
	b = opened(t, &Box{Path: b.Path})
	leased, err := b.Lease(t.Context(), app, 10)
	if err != nil || len(leased) != 3 {
		t.Errorf("leased %v, %v; want one of each device", leased, err)
	}
	for i := range leased {
		settle(t, b, leased[i].Ref())
	}
}
