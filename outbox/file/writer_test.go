package file

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// waitFor waits until a condition holds.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the condition never holds")
		}
	}
}

// queued returns how many writes wait for a busy writer.
func queued(b *Box) int {
	b.db.writer.mu.Lock()
	defer b.db.writer.mu.Unlock()
	return len(b.db.writer.writes)
}

// failing does operations while the disk is full: they share a transaction with a write that fails.
func failing(t *testing.T, b *Box, operations ...func() error) (errs []error) {
	t.Helper()
	goOn := busy(t, b)
	errs = make([]error, len(operations))
	var wg sync.WaitGroup
	for i, operation := range operations {
		wg.Go(func() { errs[i] = operation() })
		waitFor(t, func() bool { return queued(b) == i+1 })
	}
	wg.Go(func() { _ = b.db.writer.do(func(*bbolt.Tx) error { return syscall.ENOSPC }) })
	waitFor(t, func() bool { return queued(b) == len(operations)+1 })
	goOn()
	wg.Wait()
	return errs
}

func TestAFullDiskAcceptsNothingByHalves(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t), MaxPerApp: 3, MaxPerDevice: 3})
	badge, newer, running := entry("a", "badge"), entry("a", "newer"), entry("b", "running")
	badge.Replace, newer.Replace, running.Running = outbox.ReplaceBadge, outbox.ReplaceBadge, true
	running.Event, running.EventUntil = deviceOf("event"), time.Now().Add(time.Hour)
	accept(t, b, badge)
	for range 3 {
		errs := failing(t, b,
			func() error {
				b.Note([16]byte{}, deviceOf("delivered"), time.Now().Add(time.Hour)) // in the transaction that fails
				return tryAccept(t.Context(), b, newer)
			},
			func() error { return tryAccept(t.Context(), b, running) },
		)
		for _, err := range errs {
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), b.Path) {
				t.Errorf("Accept: error %v, want ENOSPC and the path", err)
			}
		}
	}
	if waits, err := b.Waiting(t.Context(), app, deviceOf("b")); waits || err != nil {
		t.Errorf("a refused entry is pending: %v, %v", waits, err)
	}

	accept(t, b, entry("a", "1"), running) // the room is there again
	wantFull(t, b)
	settle(t, b, running.Ref())
	if ids := drain(t, b); !slices.Equal(ids, []string{"badge", "1"}) {
		t.Errorf("it has %q", ids)
	}
	accept(t, b, entry("a", "2"), entry("a", "3"), entry("a", "4"))
	wantFull(t, b)
	if got := recalled(t, b); !got[deviceOf("delivered")] || !got[deviceOf("event")] || len(got) != 2 {
		t.Errorf("%d events are recalled", len(got))
	}
	cleanup(t, b)
	b = opened(t, &Box{Path: b.Path})
	if ids := drain(t, b); !slices.Equal(ids, []string{"2", "3", "4"}) {
		t.Errorf("the file has %q", ids)
	}
}

// A settled entry is not tried again, or the push would alert twice. An entry that could not be discarded is tried again.
func TestAnEntryThatCannotBeRemovedGoesWithTheNextCommit(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t), MaxPerApp: 2})
	accept(t, b, entry("a", "1"), entry("b", "2"))
	leased, err := b.Lease(t.Context(), app, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range failing(t, b,
		func() error { return b.Settle(t.Context(), leased[0].Ref()) },
		func() error { return b.Discard(t.Context(), app, deviceOf("b"), 1000) },
	) {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("operation %d: error %v, want ENOSPC", i, err)
		}
	}
	accept(t, b, entry("c", "3")) // there is room for it
	wantFull(t, b)
	cleanup(t, b)
	b = opened(t, &Box{Path: b.Path})
	ids := drain(t, b)
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"2", "3"}) {
		t.Errorf("the file has %q", ids)
	}
}

func TestAPanicInATransactionIsAnError(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	err := b.db.writer.do(func(*bbolt.Tx) error { panic("page 7: invalid page type") })
	if err == nil || !strings.Contains(err.Error(), b.Path) || !strings.Contains(err.Error(), "page 7") {
		t.Errorf("error %v", err)
	}
	accept(t, b, entry("a", "1"))
}

func TestWhatIsAcceptedAtTheSameTimeSharesASync(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	const pushes = 64
	before := txid(t, b)
	goOn := busy(t, b)
	var wg sync.WaitGroup
	for n := range pushes {
		wg.Go(func() { accept(t, b, entry(fmt.Sprint(n), fmt.Sprint(n))) })
	}
	waitFor(t, func() bool { return queued(b) == pushes })
	goOn()
	wg.Wait()
	if n := txid(t, b) - before; n != 2 {
		t.Errorf("%d transactions, want the one that kept the writer busy and one more", n)
	}
	if n := keys(t, b, entryBucket); n != pushes {
		t.Errorf("%d entries, want %d", n, pushes)
	}
}

// txid returns the number of the last write transaction.
func txid(t *testing.T, b *Box) (id int) {
	t.Helper()
	if err := b.db.view(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestNotesAreWrittenSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t)})
		before := txid(t, b)
		for n := range 1000 {
			b.Note([16]byte{}, deviceOf(fmt.Sprint(n)), time.Now().Add(time.Hour))
		}
		time.Sleep(noteDelay - time.Millisecond)
		synctest.Wait()
		if n := txid(t, b) - before; n != 0 {
			t.Errorf("%d transactions, want none yet", n)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := len(recalled(t, b)); n != 1000 || txid(t, b)-before != 1 {
			t.Errorf("%d events are recalled after %d transactions, want 1000 after one", n, txid(t, b)-before)
		}
		b.Note([16]byte{}, deviceOf("one more"), time.Now().Add(time.Hour))
		accept(t, b, entry("a", "1")) // its commit takes the note along
		if n := len(recalled(t, b)); n != 1001 || txid(t, b)-before != 2 {
			t.Errorf("%d events are recalled after %d transactions, want 1001 after two", n, txid(t, b)-before)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := txid(t, b) - before; n != 2 {
			t.Errorf("%d transactions, want no more", n)
		}
	})
}

func TestWhatAFailingDiskGathersIsBounded(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	goOn := busy(t, b)
	for n := range maxNotes + 10 {
		b.Note([16]byte{}, [16]byte{1}, time.Now().Add(time.Hour))
		b.Vouch([16]byte{byte(n), byte(n >> 8), byte(n >> 16)}, time.Now().Add(time.Hour))
	}
	b.db.writer.mu.Lock()
	n, v := len(b.db.writer.notes), len(b.db.writer.vouches)
	clear(b.db.writer.vouches)
	b.db.writer.mu.Unlock()
	goOn()
	if n != maxNotes || v != maxNotes {
		t.Errorf("%d notes and %d vouches are kept, want %d", n, v, maxNotes)
	}
}

func TestClosingWaitsForWhatIsBeingWritten(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	const callers = 8
	errs := make(chan error, callers)
	started := make(chan struct{}, callers)
	for i := range callers {
		go func() {
			for n := 0; ; n++ {
				e := entry(fmt.Sprint(i), fmt.Sprint(i, "-", n))
				if err := errors.Join(tryAccept(t.Context(), b, e), b.Settle(t.Context(), e.Ref())); err != nil {
					errs <- err
					return
				}
				if n == 0 {
					started <- struct{}{}
				}
			}
		}()
	}
	for range callers {
		<-started
	}
	cleanup(t, b)
	for range callers {
		if err := <-errs; !errors.Is(err, outbox.ErrNotOpen) {
			t.Errorf("error %v, want ErrNotOpen", err)
		}
	}
}
