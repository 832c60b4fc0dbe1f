package outboxtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// expectEnded expects that a call whose context is over ended soon, without an error or with the right one.
func (f *fixture) expectEnded(call string, began time.Time, err error) {
	f.Helper()
	if took := time.Since(began); took > time.Second {
		f.Errorf("%s took %v", call, took)
	}
	if err != nil && !errors.Is(err, outbox.ErrUnsure) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("%s: error %v, want ErrUnsure or the context's error", call, err)
	}
}

// over returns contexts that have ended.
func (f *fixture) over() map[string]context.Context {
	canceled, cancel := context.WithCancel(f.Context())
	cancel()
	late, cancel := context.WithDeadline(f.Context(), time.Now().Add(-time.Second))
	f.Cleanup(cancel)
	return map[string]context.Context{"canceled": canceled, "late": late}
}

func acceptOver(f *fixture) {
	for name, ctx := range f.over() {
		e := entry(name, "1")
		began := time.Now()
		_, err := f.q.Accept(ctx, e)
		f.expectEnded("Accept", began, err)
		waits, askErr := f.q.Waiting(f.Context(), app, e.Device)
		switch {
		case askErr != nil:
			f.Errorf("Waiting: %v", askErr)
		case err == nil && !waits:
			f.Errorf("%s: it was accepted, but is not there", name)
		case err != nil && !errors.Is(err, outbox.ErrUnsure) && waits:
			f.Errorf("%s: Accept returned %v, but it is there", name, err)
		}
		f.accept(e) // which makes sure
		f.expectWaiting(app, name, true)
		f.drain("1")
	}
}

func callsOver(f *fixture) {
	f.accept(entry("a", "1"), inAnHour(at("one", entry("b", "2"))), inAnHour(entry("d", "4")))
	one := f.leaseOne("1", 0)
	for name, ctx := range f.over() {
		for call, do := range map[string]func() error{
			"Discard":     func() error { return f.q.Discard(ctx, app, device("z"), 1000) },
			"Rouse":       func() error { return f.q.Rouse(ctx, otherApp) },
			"RouseHost":   func() error { _, err := f.q.RouseHost(ctx, app, "two", 0); return err },
			"RouseDevice": func() error { _, err := f.q.RouseDevice(ctx, app, device("z")); return err },
			"Waiting":     func() error { _, err := f.q.Waiting(ctx, app, device("a")); return err },
			"Release":     func() error { return f.q.Release(ctx, ref("a", "never"), time.Now(), true) },
			"Drop": func() error {
				i, ok := f.q.(outbox.Inspector)
				if !ok {
					return nil
				}
				_, err := i.Drop(ctx, app, device("z"), "")
				return err
			},
		} {
			began := time.Now()
			err := do()
			f.expectEnded(name+" "+call, began, err)
		}
	}
	f.settle(one)
	f.rouseHost("one", 0, 1)
	f.settle(f.leaseOne("2", 1))
	f.rouse()
	f.settle(f.leaseOne("4", 1))
}

// After an error of Settle, the entry may come back with a restart, but not before.
func settleOver(f *fixture) {
	for name, ctx := range f.over() {
		f.accept(entry(name, "1"), entry(name, "2"))
		one := f.leaseOne("1", 0)
		began := time.Now()
		err := f.q.Settle(ctx, one)
		f.expectEnded("Settle", began, err)
		f.track(one, false)
		f.settle(one) // which makes sure
		f.drain("2")
		f.expectWaiting(app, name, false)
	}
}

// acceptsCutOff accepts entries from many goroutines while their contexts end at any time. Each goes on until its entry is certainly in.
func acceptsCutOff(f *fixture) {
	const devices, entries = 6, 15
	var wg sync.WaitGroup
	for dev := range devices {
		wg.Go(func() {
			for n := range entries {
				e := entry(fmt.Sprint(dev), fmt.Sprint(n))
				if f.acceptCutOff(e); n%4 == 3 {
					f.settleCutOff(e.Ref())
				}
			}
		})
	}
	wg.Wait()
	for dev := range devices {
		for n := range entries {
			if n%4 == 3 {
				continue
			}
			r := ref(fmt.Sprint(dev), fmt.Sprint(n))
			f.expectNext(r)
			f.settle(r)
		}
		f.expectWaiting(app, fmt.Sprint(dev), false)
	}
	f.nothing()
}

// expectNext leases until it is the device's turn, and expects the entry.
func (f *fixture) expectNext(r outbox.Ref) {
	f.Helper()
	f.rouse()
	for tries := 0; tries < 50; tries++ {
		var found bool
		for _, l := range f.leaseOf(app, 100) {
			if l.Device != r.Device {
				f.release(l.Ref(), time.Hour)
				continue
			}
			if found = true; l.ID != r.ID {
				f.Fatalf("leased %s, want %s", l.ID, r.ID)
			}
		}
		if found {
			return
		}
	}
	f.Fatalf("%s was not leased", r.ID)
}

// soon returns a context that ends soon: during a call or after it.
func (f *fixture) soon() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(f.Context())
	go cancel()
	return ctx, cancel
}

func (f *fixture) acceptCutOff(e outbox.Entry) {
	for tries := 0; tries < 5; tries++ {
		ctx, cancel := f.soon()
		began := time.Now()
		_, err := f.q.Accept(ctx, e)
		cancel()
		if f.expectEnded("Accept", began, err); err == nil {
			return
		}
	}
	if _, err := f.q.Accept(f.Context(), e); err != nil {
		f.Errorf("Accept: %v", err)
	}
}

func (f *fixture) settleCutOff(r outbox.Ref) {
	ctx, cancel := f.soon()
	began := time.Now()
	err := f.q.Settle(ctx, r)
	cancel()
	if f.expectEnded("Settle", began, err); err != nil {
		if err := f.q.Settle(f.Context(), r); err != nil {
			f.Errorf("Settle: %v", err)
		}
	}
}
