package file

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
)

// within returns a context that ends after a write's time.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), outbox.WriteTime)
	t.Cleanup(cancel)
	return ctx
}

// wantUnsure expects that a call took a write's time, and no longer.
func wantUnsure(t *testing.T, call string, do func(ctx context.Context) error) {
	t.Helper()
	began := time.Now()
	err := do(within(t))
	if !errors.Is(err, outbox.ErrUnsure) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s: error %v, want ErrUnsure with the context's error", call, err)
	}
	if took := time.Since(began); took != outbox.WriteTime {
		t.Errorf("%s took %v, want %v", call, took, outbox.WriteTime)
	}
}

func wantNothingLeased(t *testing.T, b *Box) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if leased, err := b.Lease(ctx, app, 10); err == nil {
		t.Errorf("leased %v", leased)
	}
}

func TestADiskThatStallsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t), MaxPerApp: 4})
		accept(t, b, entry("a", "1"), entry("b", "2"), entry("c", "3"))
		leased, err := b.Lease(t.Context(), app, 1)
		if err != nil {
			t.Fatal(err)
		}
		goOn := busy(t, b)
		wantUnsure(t, "Accept", func(ctx context.Context) error { return tryAccept(ctx, b, entry("d", "4")) })
		wantUnsure(t, "Accept again", func(ctx context.Context) error { return tryAccept(ctx, b, entry("d", "4")) })
		wantFull(t, b) // what is being written takes room
		wantUnsure(t, "Settle", func(ctx context.Context) error { return b.Settle(ctx, leased[0].Ref()) })
		wantUnsure(t, "Discard", func(ctx context.Context) error { return b.Discard(ctx, app, deviceOf("b"), 1000) })
		wantUnsure(t, "Drop", func(ctx context.Context) error { _, err := b.Drop(ctx, app, deviceOf("c"), ""); return err })
		began := time.Now()
		b.Note([16]byte{}, deviceOf("event"), began.Add(time.Hour))
		if waits, err := b.Waiting(within(t), app, deviceOf("b")); !waits || err != nil {
			t.Errorf("Waiting: %v, %v", waits, err)
		}
		_, lists, err := b.List(within(t), app, "", 10)
		_, depths := b.Depths(within(t))
		if err = errors.Join(err, depths, b.Rouse(within(t), app)); err != nil || lists != "" || time.Since(began) > 0 {
			t.Errorf("questions: %v after %v", err, time.Since(began))
		}
		goOn()
		synctest.Wait()
		if ids := drain(t, b); !slices.Equal(ids, []string{"4"}) {
			t.Errorf("it has %q, want what was accepted at last", ids)
		}
		if n := keys(t, b, entryBucket); n != 0 {
			t.Errorf("%d entries are left on disk", n)
		}
		if q := b.db.index.queue(app); q.room.all != (bounds.Amount{}) || len(q.coming) != 0 || len(q.hosts) != 0 {
			t.Errorf("the index counts %d entries of %d bytes, %d are coming", q.room.all.Entries, q.room.all.Size, len(q.coming))
		}
	})
}

func TestAWriteThatFailsAfterItsCallerWentGivesTheRoomBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t), MaxPerApp: 1})
		goOn := busy(t, b)
		wantUnsure(t, "Accept", func(ctx context.Context) error { return tryAccept(ctx, b, entry("a", "1")) })
		failed := make(chan error, 1)
		go func() { failed <- b.db.writer.do(func(*bbolt.Tx) error { return syscall.ENOSPC }) }()
		again := make(chan error, 1)
		go func() { again <- tryAccept(context.Background(), b, entry("a", "1")) }() // waits for the first one's write
		synctest.Wait()
		goOn()
		<-failed
		if err := <-again; !errors.Is(err, syscall.ENOSPC) || errors.Is(err, outbox.ErrUnsure) {
			t.Errorf("Accept again: error %v, want ENOSPC", err)
		}
		accept(t, b, entry("b", "2"))
		wantFull(t, b)
		if ids := drain(t, b); !slices.Equal(ids, []string{"2"}) {
			t.Errorf("it has %q", ids)
		}
	})
}

// A delivered push must not be delivered again, however long the disk takes.
func TestAnEntryThatIsBeingSettledIsNobodys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t)})
		ran := entry("b", "2")
		ran.Running = true
		badge, newer := entry("a", "1"), entry("a", "newer")
		badge.Replace, newer.Replace = outbox.ReplaceBadge, outbox.ReplaceBadge
		behind := ref("a", "behind")
		accept(t, b, badge, entry("a", "behind"), ran)
		leased, err := b.Lease(t.Context(), app, 1)
		if err != nil {
			t.Fatal(err)
		}
		goOn := busy(t, b)
		for range 2 {
			for _, r := range []outbox.Ref{leased[0].Ref(), behind, ran.Ref()} {
				wantUnsure(t, "Settle", func(ctx context.Context) error { return b.Settle(ctx, r) })
				if err := b.Release(t.Context(), r, time.Now(), true); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(2 * outbox.LeaseTime)
			if err := b.Rouse(t.Context(), app); err != nil {
				t.Error(err)
			}
			wantNothingLeased(t, b)
			if n, err := b.Drop(t.Context(), app, deviceOf("a"), ""); n != 0 || err != nil {
				t.Errorf("Drop: %d, %v", n, err)
			}
		}
		goOn()
		settle(t, b, leased[0].Ref())
		settle(t, b, ran.Ref())
		settle(t, b, behind)
		if n := keys(t, b, entryBucket); n != 0 {
			t.Errorf("%d entries are left on disk", n)
		}
		accept(t, b, newer)
		if ids := drain(t, b); !slices.Equal(ids, []string{"newer"}) {
			t.Errorf("it has %q", ids)
		}
	})
}

func TestSettlingAgainMakesSureThatTheEntryIsGone(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	for range 20 {
		accept(t, b, entry("a", "1"))
		for _, err := range failing(t, b, func() error { return b.Settle(t.Context(), ref("a", "1")) }) {
			if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, outbox.ErrUnsure) {
				t.Errorf("Settle: error %v, want ENOSPC", err)
			}
		}
		settle(t, b, ref("a", "1"))
		if n := keys(t, b, entryBucket); n != 0 {
			t.Fatalf("%d entries are left on disk", n)
		}
		b.db.index.graves = newGraves() // as if the graves were those of another process
	}
}

// When the last sync of a transaction fails, the file shows what was written, but may not show it after a restart.
func TestATransactionThatFailsWhenItIsWrittenIsUnsure(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	goOn := busy(t, b)
	accepted := make(chan error, 1)
	go func() { accepted <- tryAccept(context.Background(), b, entry("a", "1")) }()
	waitFor(t, func() bool { return queued(b) == 1 })
	failed := make(chan error, 1)
	go func() {
		failed <- b.db.writer.do(func(tx *bbolt.Tx) error {
			tx.OnCommit(func() { panic("input/output error") })
			return nil
		})
	}()
	waitFor(t, func() bool { return queued(b) == 2 })
	goOn()
	if err := <-accepted; !errors.Is(err, outbox.ErrUnsure) || !strings.Contains(err.Error(), "input/output error") ||
		!strings.Contains(err.Error(), b.Path) {
		t.Errorf("Accept: error %v, want ErrUnsure with the cause and the path", err)
	}
	<-failed
	accept(t, b, entry("a", "1")) // makes sure
	if ids := onDisk(t, b); !slices.Equal(ids, []string{"1"}) {
		t.Errorf("on disk are %q", ids)
	}
	if ids := drain(t, b); !slices.Equal(ids, []string{"1"}) {
		t.Errorf("it has %q", ids)
	}
}

// The end of the last attempt closes the file, which waits for the disk. The caller that settled the attempt's entry does not wait.
func TestAFileThatClosesHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t)})
		one, two := entry("a", "1"), entry("b", "2")
		one.Running, two.Running = true, true
		accept(t, b, one, two)
		goOn := busy(t, b)
		cleanup(t, b) // the attempts keep it open
		wantUnsure(t, "Settle", func(ctx context.Context) error { return b.Settle(ctx, one.Ref()) })
		wantUnsure(t, "the last Settle", func(ctx context.Context) error { return b.Settle(ctx, two.Ref()) })
		synctest.Wait()
		began := time.Now()
		wantNotOpen(t, b)
		if took := time.Since(began); took > 0 {
			t.Errorf("while it closes, calls take %v", took)
		}
		goOn()
		synctest.Wait()
		b = opened(t, &Box{Path: b.Path})
		if ids := drain(t, b); len(ids) != 0 {
			t.Errorf("the file has %q", ids)
		}
	})
}
