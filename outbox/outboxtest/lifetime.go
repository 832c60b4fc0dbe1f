package outboxtest

import (
	"fmt"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func restart(f *fixture) {
	var want []outbox.Entry
	for n := range 12 {
		e := entry("a", fmt.Sprint(n))
		want = append(want, e)
		f.accept(e)
	}
	update := badge("b", "b2")
	f.accept(badge("b", "b1"), update, entry("c", "c1"))
	leased := f.lease("0", "b2", "c1")
	f.settle(leased[0].Ref())
	f.release(leased[1].Ref(), time.Hour)
	f.settle(leased[2].Ref())
	ran := running(entry("d", "d1"))
	f.accept(ran)
	f.release(ran.Ref(), time.Hour)
	f.accept(entry("e", "e1"))
	f.discard("e", 1000)
	f.settle(want[3].Ref()) // which is not leased

	for range 2 {
		f.reopen()
		f.rouse() // some boxes keep when a device is due, others don't
		leased = f.lease("1", "b2", "d1")
		f.expectWhole(leased[1], update)
		f.release(leased[0].Ref(), 0)
		f.release(leased[1].Ref(), time.Hour)
		f.release(leased[2].Ref(), time.Hour)
	}
	f.accept(entry("a", "new"))
	for _, e := range append(want[1:3:3], want[4:]...) {
		l := f.lease(e.ID)[0]
		f.expectWhole(l, e)
		f.settle(l.Ref())
	}
	f.drain("new")
	f.expectWaiting(app, "b", true)
	f.expectWaiting(app, "c", false)
	f.expectWaiting(app, "e", false)
}

func (f *fixture) ledger() outbox.Ledger {
	f.Helper()
	l, ok := f.q.(outbox.Ledger)
	if !ok {
		f.Skip("the queue is not an outbox.Ledger")
	}
	return l
}

func (f *fixture) recalled() memory {
	f.Helper()
	return f.remembered("recalled", f.ledger().Recall)
}

func (f *fixture) expectRecalled(names ...string) {
	f.Helper()
	f.recalled().expect(names...)
}

func ledger(f *fixture) {
	f.expectRecalled()
	until := time.Now().Add(later)
	f.ledger().Note(device("of short"), device("short"), until)
	f.ledger().Note(device("of long"), device("long"), time.Now().Add(time.Hour))
	f.ledger().Note(device("of over"), device("over"), time.Now().Add(-time.Second))
	f.ledger().Note(device("of long"), device("long"), time.Now().Add(time.Hour)) // again
	f.reopen()
	f.recalled().expectBefore(until, "short", "long")
	f.eventually(f.recalled, "long")
	f.ledger().Note(device("of another"), device("another"), time.Now().Add(time.Hour))
	f.reopen()
	f.expectRecalled("long", "another")
}

func ledgerOfEntries(f *fixture) {
	f.ledger()
	with := func(e outbox.Entry, event string, until time.Duration) outbox.Entry {
		e.Event, e.EventUntil = device(event), time.Now().Add(until)
		return e
	}
	f.accept(
		with(entry("a", "1"), "settled", time.Hour), with(entry("b", "2"), "waits", time.Hour), with(entry("b", "3"), "short", later),
		entry("b", "without"), with(running(entry("c", "4")), "running", time.Hour),
	)
	f.settle(f.lease("1", "2")[0].Ref())
	f.settle(ref("c", "4"))
	f.release(ref("b", "2"), 0)
	f.eventually(f.recalled, "settled", "waits", "running")
	f.reopen()
	f.expectRecalled("settled", "waits", "running")
}
