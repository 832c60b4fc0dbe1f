package outboxtest

import (
	"fmt"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// late accepts an entry that was settled or discarded. It must have no effect, and the suite does not have a lease of it.
func (f *fixture) late(entries ...outbox.Entry) {
	f.Helper()
	for _, e := range entries {
		if _, err := f.q.Accept(f.Context(), e); err != nil {
			f.Errorf("Accept %s: %v", e.ID, err)
		}
		if e.Running {
			defer func() { _ = f.q.Settle(f.Context(), e.Ref()) }()
		}
	}
	f.nothing()
}

func settledFirst(f *fixture) {
	f.settle(ref("a", "1"))
	f.late(entry("a", "1"), running(entry("a", "1")))
	f.expectWaiting(app, "a", false)
	other := entry("a", "1")
	other.App = otherApp
	f.accept(other, entry("a", "2"), entry("b", "1")) // these were not settled
	f.settle(f.lease("2", "1")[1].Ref())
	f.settle(ref("a", "2"))
	f.expectWaiting(otherApp, "a", true)

	f.settle(ref("a", "3"))
	f.elapse(outbox.LeaseTime - time.Second)
	f.late(entry("a", "3"))
	f.expectWaiting(app, "a", false)
}

func settledOnce(f *fixture) {
	f.accept(entry("a", "1"), running(entry("b", "2")), badge("a", "b1"))
	f.settle(f.leaseOne("1", 0))
	f.settle(ref("b", "2"))
	f.settle(ref("a", "b1"))
	f.late(entry("a", "1"), running(entry("b", "2")), badge("a", "b1"))
	f.expectWaiting(app, "a", false)
	f.expectWaiting(app, "b", false)
}

func discardedFirst(f *fixture) {
	before := func(dev, id string, pushkeyTS int64) outbox.Entry {
		e := entry(dev, id)
		e.PushkeyTS, e.Accepted = pushkeyTS, time.Now().Add(-time.Second)
		return e
	}
	f.accept(entry("a", "1"))
	f.discard("a", 1000)
	f.discard("b", 1000)
	f.late(before("a", "2", 1000), before("b", "3", 0), running(before("b", "4", 999)))
	f.expectWaiting(app, "a", false)
	f.expectWaiting(app, "b", false)
	later := entry("a", "later registration")
	later.PushkeyTS, later.Accepted = 1001, time.Now().Add(-time.Second)
	laterPush := entry("b", "later push")
	laterPush.Accepted = time.Now().Add(time.Second) // by any clock
	other := before("a", "other", 1000)
	other.App = otherApp
	f.accept(later, other, laterPush)
	f.lease("later registration", "later push")
	f.expectWaiting(otherApp, "a", true)
}

func acceptedAgain(f *fixture) {
	f.accept(entry("a", "1"), entry("a", "1"), entry("a", "2"), entry("a", "1"))
	f.drain("1", "2")

	ran := running(entry("b", "3"))
	f.accept(ran, ran)
	f.nothing()
	again := entry("b", "3") // the attempt ended without a verdict, and nobody knows whether the entry was accepted
	again.Due = time.Now().Add(later)
	f.accept(again)
	f.track(again.Ref(), false)
	f.nothing()
	f.leaseOne("3", 1)
	if time.Now().Before(again.Due) {
		f.Error("leased before it was due")
	}
	f.settle(again.Ref())
	f.nothing()
}

func acceptedAgainFull(f *fixture) {
	f.renew(Bounds{PerApp: 2, PerDevice: 2})
	f.accept(entry("a", "1"), entry("a", "2"))
	f.accept(entry("a", "1"), entry("a", "2")) // takes no room
	f.refuse(entry("a", "3"))
	f.drain("1", "2")
}

func acceptedAtOnce(f *fixture) {
	const callers, entries = 8, 20
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for n := range entries {
				if _, err := f.q.Accept(f.Context(), entry(fmt.Sprint(n%5), fmt.Sprint(n))); err != nil {
					f.Errorf("Accept: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for range entries {
		l := f.leaseOf(app, 1)[0]
		f.settle(l.Ref())
	}
	f.nothing()
}

func acceptedEvent(f *fixture) {
	of := func(event string, e outbox.Entry) outbox.Entry {
		e.Event, e.EventUntil = device(event), time.Now().Add(time.Hour)
		return e
	}
	f.accept(of("x", entry("a", "1")), of("x", entry("a", "again")), of("y", entry("a", "2")), entry("a", "3"), entry("a", "4"))
	f.drain("1", "2", "3", "4") // those without an event are different pushes
	f.accept(of("z", entry("b", "5")))
	f.reopen()
	f.rouse()
	f.accept(of("z", entry("b", "again after a restart")))
	f.drain("5")
}
