package outboxtest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func fullApp(f *fixture) {
	f.renew(Bounds{PerApp: 3})
	f.accept(entry("a", "a1"), entry("b", "b1"), entry("a", "a2"))
	f.refuse(entry("a", "a3"))
	f.refuse(running(entry("c", "c1")))
	f.expectWaiting(app, "c", false)
	other := entry("a", "other")
	other.App = otherApp
	f.accept(other)
	leased := f.lease("a1", "b1")
	f.settle(leased[0].Ref())
	f.settle(leased[1].Ref())
	f.drain("a2") // nothing that was refused
}

func fullDevice(f *fixture) {
	f.renew(Bounds{PerDevice: 2})
	f.accept(entry("a", "1"), entry("a", "2"))
	f.refuse(entry("a", "3"))
	f.refuse(running(entry("a", "3")))
	f.accept(entry("b", "other"))
	f.settle(f.lease("1", "other")[1].Ref())
	f.settle(ref("a", "1"))
	f.drain("2")
}

func room(f *fixture) {
	for _, b := range []Bounds{{PerApp: 2}, {PerDevice: 2}} {
		f.renew(b)
		f.accept(badge("a", "b1"), entry("a", "1"))
		f.refuse(entry("a", "2"))

		f.accept(badge("a", "b2")) // replaces the other
		f.refuse(entry("a", "2"))
		one := f.leaseOne("1", 0)
		f.refuse(entry("a", "2"))
		f.settle(one)
		f.accept(entry("a", "2"))
		f.refuse(entry("a", "3"))

		f.discard("a", 1000)
		f.accept(entry("a", "3"), entry("a", "4"))
		f.refuse(entry("a", "5"))
		f.discard("a", 1000)
		f.nothing()
	}
}

func boundsAtOnce(f *fixture) {
	const bound, callers = 7, 50
	for name, tt := range map[string]struct {
		b   Bounds
		dev func(n int) string
	}{
		"of an app":    {Bounds{PerApp: bound}, func(n int) string { return fmt.Sprint(n) }},
		"of a device":  {Bounds{PerDevice: bound}, func(int) string { return "a" }},
		"of one of it": {Bounds{PerApp: bound, PerDevice: bound}, func(int) string { return "a" }},
	} {
		f.renew(tt.b)
		var accepted atomic.Int32
		var wg sync.WaitGroup
		for n := range callers {
			wg.Go(func() {
				switch _, err := f.q.Accept(f.Context(), entry(tt.dev(n), fmt.Sprint(n))); {
				case err == nil:
					accepted.Add(1)
				case !errors.Is(err, outbox.ErrFull):
					f.Errorf("Accept: %v", err)
				}
			})
		}
		wg.Wait()
		if n := accepted.Load(); n != bound {
			f.Errorf("the bound %s: %d entries were accepted, want %d", name, n, bound)
		}
		for range accepted.Load() {
			f.settle(f.leaseOf(app, 1)[0].Ref())
		}
		f.nothing()
		f.accept(entry("a", "next"))
	}
}
