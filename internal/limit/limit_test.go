package limit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheFirstGoInTheNextWaitAndTheRestAreTurnedAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(2, 1)
		for range 2 {
			acquire(t, l)
		}
		waited := make(chan error, 1)
		go func() { waited <- l.Acquire(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-waited:
			t.Fatalf("the third did not wait: %v", err)
		default:
		}
		if err := l.Acquire(t.Context()); !errors.Is(err, ErrBusy) {
			t.Fatalf("the fourth got %v, want %v", err, ErrBusy)
		}
		l.Release()
		if err := <-waited; err != nil {
			t.Fatalf("the third got %v in its turn", err)
		}
	})
}

func TestOneWhoGivesUpLeavesTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 1)
		acquire(t, l)
		for range 3 { // each finds the place that the one before left
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := l.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
			}
			cancel()
		}
		l.Release()
		acquire(t, l)
	})
}

func TestOneWhoWasTurnedAwayHoldsNoPlace(t *testing.T) {
	t.Parallel()
	l := New(1, 0)
	acquire(t, l)
	for range 3 {
		if err := l.Acquire(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v, want %v", err, ErrBusy)
		}
	}
	l.Release()
	acquire(t, l)
}

func TestItIsIdleWhenNobodyIsInOrWaits(t *testing.T) {
	t.Parallel()
	l := New(1, 1)
	if !l.Idle() {
		t.Error("it is not idle to begin with")
	}
	acquire(t, l)
	if l.Idle() {
		t.Error("it is idle with one in")
	}
	l.Release()
	if !l.Idle() {
		t.Error("it is not idle when the last left")
	}
}

func TestNeverMoreAreInThanMayBe(t *testing.T) {
	t.Parallel()
	const running = 4
	l := New(running, 1000)
	var in, most atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if err := l.Acquire(t.Context()); err != nil {
				t.Error(err)
				return
			}
			defer l.Release()
			n := in.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			in.Add(-1)
		})
	}
	all.Wait()
	if most.Load() > running || !l.Idle() {
		t.Errorf("%d were in at a time, idle: %v", most.Load(), l.Idle())
	}
}

func acquire(t *testing.T, l *Limiter) {
	t.Helper()
	if err := l.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
}
