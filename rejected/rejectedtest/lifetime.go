package rejectedtest

import (
	"errors"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func lastSeen(t *testing.T, h Harness) {
	f := newFixture(t, h)
	want := rejected.Record{}.Add(f.verdict(ts(0)))
	f.reject(keyA, f.verdict(ts(0)))
	f.elapse(time.Minute)
	f.lookup(keyA)
	want.LastSeen = f.clock.Now()
	f.expectRecord(keyA, want)
	f.elapse(time.Minute)
	f.expectRecord(keyA, want) // neither time nor Get changes it
}

func expiry(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(0)))
	f.reject(keyB, f.verdict(ts(0)))
	f.elapse(h.Expire - time.Minute)
	f.get(keyA)
	f.reject(keyB, f.verdict(ts(0))) // a verdict counts as seeing it
	f.elapse(2 * time.Minute)
	f.expectGone(keyA)
	f.expect(keyB, ts(0), true)
}

func seenStays(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(0)))
	f.reject(keyB, f.verdict(ts(0)))
	for range 6 {
		f.elapse(h.Expire / 2)
		f.expect(keyA, ts(0), true)
	}
	f.get(keyA)
	f.expectGone(keyB)
}

func freshAfterExpiry(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(0)))
	f.elapse(h.Expire + time.Minute)
	f.reject(keyA, f.verdict(ts(-10)))
	f.expectRecord(keyA, rejected.Record{}.Add(f.verdict(ts(-10))))
	f.expect(keyA, ts(0), false)
}

func unopened(t *testing.T, h Harness) {
	f := &fixture{T: t, h: h, s: h.Unopened(t), clock: newClock()}
	f.expectNotOpen()
	opener, ok := f.s.(rejected.Opener)
	if !ok {
		t.Fatal("the store is not a rejected.Opener")
	}
	if err := opener.Open(t.Context()); err != nil {
		t.Fatalf("Open: %v", err)
	}
	f.expectGone(keyA)
	if err := opener.Open(t.Context()); err != nil {
		t.Errorf("a second Open: %v", err)
	}
}

func closed(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(0)))
	h.Close(t, f.s)
	f.expectNotOpen()
}

func closeInFlight(t *testing.T, h Harness) {
	f := newFixture(t, h)
	const workers = 8
	started, errs := make(chan struct{}, workers), make(chan error, workers)
	for i := range workers {
		go func() {
			for n := 0; ; n++ {
				if err := operate(f, i, n); err != nil {
					errs <- err
					return
				}
				if n == 0 {
					started <- struct{}{}
				}
			}
		}()
	}
	for range workers {
		select {
		case <-started:
		case err := <-errs:
			t.Fatalf("before the store was closed: %v", err)
		}
	}
	h.Close(t, f.s)
	for range workers {
		if err := <-errs; !errors.Is(err, rejected.ErrNotOpen) {
			t.Errorf("an operation during or after Close: %v, want ErrNotOpen", err)
		}
	}
}

func restart(t *testing.T, h Harness) {
	f := newFixture(t, h)
	v := f.verdict(ts(-10))
	v.Since = time.UnixMilli(ts(-20))
	f.reject(keyA, v)
	f.reject(keyB, f.verdict(0))
	f.reopen()
	f.expectRecord(keyA, rejected.Record{}.Add(v))
	f.expect(keyA, ts(-10), true)
	f.expect(keyA, ts(-9), false)
	f.expect(keyB, 0, true)
	f.expectGone(keyC)
	f.reject(keyA, f.verdict(ts(-5)))
	f.expect(keyA, ts(-5), true)
}

func restartAfterForget(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(0)))
	f.forget(keyA)
	f.reopen()
	f.expectGone(keyA)
}

func restartAfterLookup(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(0)))
	f.elapse(h.Expire - time.Minute)
	f.lookup(keyA)
	f.reopen()
	f.elapse(h.Expire - time.Minute)
	f.expect(keyA, ts(0), true)
}

func restartAfterExpiry(t *testing.T, h Harness) {
	f := newFixture(t, h)
	f.reject(keyA, f.verdict(ts(0)))
	f.clock.add(h.Expire + time.Minute)
	f.reopen()
	f.expectGone(keyA)
}
