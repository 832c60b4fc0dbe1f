package file

import (
	"fmt"
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

// sweepOnce lets the sweeper run once.
func sweepOnce() {
	time.Sleep(sweepInterval)
	synctest.Wait()
}

// countLosses returns a function that returns what the box reported as lost.
func countLosses(b *Box) func() string {
	var mu sync.Mutex
	var list []string
	b.OnLoss(func(app string, why outbox.Loss, entries int) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, fmt.Sprintf("%d of %s %s", entries, app, why))
	})
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(list, ", ")
	}
}

func TestExpiredEntriesAreSweptUnlessAnAttemptIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		b := provision(t, &Box{Path: tempPath(t), MaxPerApp: 5})
		b.log = log.logger()
		lost := countLosses(b)
		open(t, b)
		short := func(dev, id string) outbox.Entry {
			e := entry(dev, id)
			e.Expires = time.Now()
			return e
		}
		long, running, later := entry("b", "long"), short("c", "running"), short("d", "later")
		long.Expires = time.Now().Add(24 * time.Hour)
		running.Running, later.Due = true, long.Expires
		accept(t, b, short("a", "leased"), short("a", "behind"), long, running, later)
		time.Sleep(sweepGrace + sweepInterval - time.Second)
		if n := keys(t, b, entryBucket); n != 5 {
			t.Errorf("%d entries are left, want all: they are still the workers'", n)
		}
		leased, err := b.Lease(t.Context(), app, 10)
		if err != nil || len(leased) != 3 {
			t.Fatalf("Lease: %v, %v", leased, err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := keys(t, b, entryBucket); n != 3 {
			t.Errorf("%d entries are left, want the leased ones, and the one that has not expired", n)
		}
		if !strings.Contains(log.String(), "pushes=2") {
			t.Errorf("logged %q, want the 2 that expired", log.String())
		}
		if got := lost(); got != "2 of "+app+" expired" {
			t.Errorf("reported is %q", got)
		}
		if depths, err := b.Depths(t.Context()); err != nil || len(depths) != 1 || depths[0].Entries != 3 || depths[0].Devices != 3 {
			t.Errorf("pending are %v, %v", depths, err)
		}
		accept(t, b, entry("e", "1"), entry("e", "2")) // in the room of the expired ones
		wantFull(t, b)
		for i := range leased {
			if err := b.Release(t.Context(), leased[i].Ref(), time.Now(), true); err != nil {
				t.Error(err)
			}
		}
		sweepOnce()
		ids := drain(t, b)
		slices.Sort(ids)
		if !slices.Equal(ids, []string{"1", "2", "long"}) {
			t.Errorf("it has %q", ids)
		}
		settle(t, b, running.Ref())
	})
}

func TestASweepTakesManyBoundedTransactions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t), MaxPerDevice: 1 << 20})
		const entries = 2*maxSwept + 5
		update(t, b, func(tx *bbolt.Tx) error {
			for seq := range uint64(entries) {
				e := entry(fmt.Sprint(seq%100), fmt.Sprint(seq))
				e.Expires = time.Now().Add(-sweepGrace)
				if err := tx.Bucket(entryBucket).Put(sequence(seq+1), encoded(t, seq+1, e)); err != nil {
					return err
				}
			}
			return nil
		})
		cleanup(t, b)
		b = opened(t, &Box{Path: b.Path})
		before := txid(t, b)
		sweepOnce()
		if n := keys(t, b, entryBucket); n != 0 {
			t.Errorf("%d entries are left", n)
		}
		if n := txid(t, b) - before; n != 3 {
			t.Errorf("%d transactions, want 3", n)
		}
	})
}

func TestNotesAreSweptWhenTheirTimeIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t)})
		const values = 2*maxSwept + 5 // as many as a busy minute writes
		var wg sync.WaitGroup
		for n := range values {
			wg.Go(func() {
				err := b.db.writer.do(func(tx *bbolt.Tx) error {
					return b.db.writer.putNotes(tx, []note{{deviceOf(fmt.Sprint(n)), time.Now().Add(time.Second)}})
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		b.Note([16]byte{}, deviceOf("long"), time.Now().Add(time.Hour))
		b.Note([16]byte{}, deviceOf("beside it"), time.Now().Add(time.Second))
		sweepOnce()
		if n := keys(t, b, noteBucket); n != 1 {
			t.Errorf("%d values are left, want the one with a note that counts", n)
		}
		if got := recalled(t, b); len(got) != 1 || !got[deviceOf("long")] {
			t.Errorf("%d events are recalled", len(got))
		}
	})
}

func TestAFailingSweepIsLoggedAndTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		b := provision(t, &Box{Path: tempPath(t)})
		b.log = log.logger()
		open(t, b)
		e := entry("a", "1")
		e.Expires = time.Now().Add(-sweepGrace)
		accept(t, b, e)
		synctest.Wait() // for the sweep at opening
		goOn := busy(t, b)
		failed := make(chan error, 1)
		go func() { failed <- b.db.writer.do(func(*bbolt.Tx) error { return syscall.ENOSPC }) }()
		sweepOnce() // asks the writer, too
		goOn()
		<-failed
		synctest.Wait()
		if n := strings.Count(log.String(), "cannot be cleaned up"); n != 1 || keys(t, b, entryBucket) != 1 {
			t.Errorf("logged %d times, want once: %s", n, log.String())
		}
		sweepOnce()
		if keys(t, b, entryBucket) != 0 {
			t.Error("the entry is still there")
		}
	})
}

// A sweep that logged once waited for a lock. The closing that held the lock waited for the sweep.
func TestClosingWaitsForASweepThatLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t)})
		e := entry("a", "1")
		e.Expires = time.Now().Add(-sweepGrace)
		accept(t, b, e)
		synctest.Wait() // for the sweep at opening
		goOn := busy(t, b)
		sweepOnce()
		closed := make(chan error)
		go func() { closed <- b.Cleanup() }()
		synctest.Wait()
		goOn()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}
