package file

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
)

func vouchedFor(t testing.TB, b *Box) map[[16]byte]bool {
	t.Helper()
	got := make(map[[16]byte]bool)
	if err := b.Vouched(t.Context(), func(key [16]byte) { got[key] = true }); err != nil {
		t.Errorf("Vouched: %v", err)
	}
	return got
}

// written waits until the writer has written notes and vouches.
func written() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func TestBeyondTheBoundTheOldestNotesGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t)})
		const most = 3000
		b.db.writer.most.notes = most
		note := func(from, to int) {
			for n := from; n < to; n++ {
				b.Note([16]byte{}, deviceOf(fmt.Sprint(n)), time.Now().Add(time.Hour))
			}
			written()
		}
		expect := func(from, to int) {
			t.Helper()
			got := recalled(t, b)
			if len(got) > most || len(got) < most-valueNotes {
				t.Errorf("%d events are recalled, want %d and a value less at most", len(got), most)
			}
			for n := to - len(got); n < to; n++ {
				if !got[deviceOf(fmt.Sprint(n))] {
					t.Fatalf("of %d to %d, %d is forgotten", from, to, n)
				}
			}
		}
		note(0, most)
		if n := len(recalled(t, b)); n != most {
			t.Errorf("%d events are recalled, want all", n)
		}
		for n := most; n < 2*most; n += 500 {
			note(n, n+500)
			expect(0, n+500)
		}
		note(2*most, 5*most) // at once
		expect(0, 5*most)
		// Notes of entries count, too, and so do those that were there before.
		cleanup(t, b)
		b = opened(t, &Box{Path: b.Path, MaxPerDevice: 1 << 20})
		if n, want := counted(t, b).notes, len(recalled(t, b)); n != want {
			t.Errorf("%d notes are counted, want %d", n, want)
		}
		b.db.writer.most.notes = most
		entries := secrets(0, 100)
		for i := range entries {
			entries[i].Event, entries[i].EventUntil = deviceOf(fmt.Sprint(5*most+i)), time.Now().Add(time.Hour)
		}
		acceptAll(t, b, entries)
		expect(0, 5*most+100)
		sweepOnce()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n := counted(t, b).notes; n != 0 || keys(t, b, noteBucket) != 0 {
			t.Errorf("%d notes are counted when all are over", n)
		}
	})
}

func TestAFailedTransactionCountsNothing(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	e := entry("a", "1")
	e.Event, e.EventUntil = deviceOf("event"), time.Now().Add(time.Hour)
	failing(t, b, func() error { _, err := b.Accept(t.Context(), e); return err })
	if n := counted(t, b); n != (counts{}) {
		t.Errorf("counted are %+v", n)
	}
	accept(t, b, e)
	if n := counted(t, b); n != (counts{notes: 1}) {
		t.Errorf("counted are %+v", n)
	}
}

func TestBeyondTheBoundTheVouchesGoThatEndFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t)})
		const most = 100
		b.db.writer.most.vouched = most
		key := func(n int) [16]byte { return deviceOf(fmt.Sprint(n)) }
		until := time.Now().Add(24 * time.Hour)
		for n := range 2 * most {
			b.Vouch(key(n), until.Add(time.Duration((n*7)%(2*most))*time.Minute))
			if n%30 == 0 {
				written()
			}
		}
		written()
		got := vouchedFor(t, b)
		for n := range 2 * most {
			if want := (n*7)%(2*most) >= most; got[key(n)] != want {
				t.Errorf("%d is vouched for: %v", n, got[key(n)])
			}
		}
		// A key that is vouched for again displaces no other.
		b.Vouch(key(1000), until.Add(1000*time.Minute))
		b.Vouch(key(1000), until.Add(500*time.Minute))
		written()
		b.Vouch(key(1000), until.Add(2000*time.Minute))
		written()
		if n := len(vouchedFor(t, b)); n != most || keys(t, b, vouchBucket) != most || keys(t, b, vouchOrderBucket) != most {
			t.Errorf("%d are vouched for", n)
		}
		cleanup(t, b)
		b = opened(t, &Box{Path: b.Path})
		if n := counted(t, b).vouched; n != most {
			t.Errorf("%d are counted after a restart", n)
		}
		time.Sleep(3 * 24 * time.Hour)
		synctest.Wait()
		if n := counted(t, b).vouched; n != 0 || keys(t, b, vouchBucket) != 0 || keys(t, b, vouchOrderBucket) != 0 {
			t.Errorf("%d are counted when all are over", n)
		}
	})
}

// Each is on another page: a flood of them must not delay pushes.
func TestVouchesAreWrittenAFewAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, &Box{Path: tempPath(t)})
		before := txid(t, b)
		const all = 3*maxVouches + 1
		for n := range all {
			b.Vouch(deviceOf(fmt.Sprint(n)), time.Now().Add(time.Hour))
		}
		time.Sleep(noteDelay)
		synctest.Wait()
		if n := len(vouchedFor(t, b)); n != maxVouches || txid(t, b)-before != 1 {
			t.Errorf("%d are written in %d transactions", n, txid(t, b)-before)
		}
		written()
		if n := len(vouchedFor(t, b)); n != all || txid(t, b)-before != 4 {
			t.Errorf("%d are written in %d transactions", n, txid(t, b)-before)
		}
	})
}

func TestVouchesThatCannotBeWrittenGoWithTheNextCommit(t *testing.T) {
	t.Parallel()
	b := opened(t, &Box{Path: tempPath(t)})
	goOn := busy(t, b)
	failed := make(chan error)
	b.Vouch(deviceOf("a"), time.Now().Add(time.Hour))
	one := newWrite()
	one.do = func(*bbolt.Tx) error {
		b.Vouch(deviceOf("b"), time.Now().Add(time.Hour))
		return fmt.Errorf("full")
	}
	if err := b.db.writer.submit(one); err != nil {
		t.Fatal(err)
	}
	go func() { <-one.done; failed <- one.err }()
	goOn()
	if <-failed == nil {
		t.Fatal("the transaction did not fail")
	}
	accept(t, b, entry("a", "1"))
	if got := vouchedFor(t, b); len(got) != 2 {
		t.Errorf("%d are vouched for", len(got))
	}
}

func TestAFileOfAnEarlierVersionRemembersVouches(t *testing.T) {
	t.Parallel()
	b := ofFixture(t)
	if got := vouchedFor(t, b); len(got) != 0 {
		t.Errorf("%d are vouched for", len(got))
	}
	b.Vouch(deviceOf("a"), time.Now().Add(time.Hour))
	cleanup(t, b)
	b = opened(t, &Box{Path: b.Path})
	if got := vouchedFor(t, b); len(got) != 1 || !got[deviceOf("a")] {
		t.Errorf("%d are vouched for", len(got))
	}
	if n := keys(t, b, entryBucket); n != 10 {
		t.Errorf("%d entries are left", n)
	}
}

// counted returns the writer's counts.
func counted(t *testing.T, b *Box) (c counts) {
	t.Helper()
	if err := b.db.writer.between(t.Context(), func() { c = b.db.writer.counts }); err != nil {
		t.Error(err)
	}
	return c
}
