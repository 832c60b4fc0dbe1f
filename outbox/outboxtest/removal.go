package outboxtest

import (
	"fmt"
	"time"
)

func discard(f *fixture) {
	for _, tt := range []struct {
		pushkeyTS int64
		stay      []string
	}{
		{0, []string{"999", "1000", "1001"}},
		{999, []string{"1000", "1001"}},
		{1000, []string{"1001"}},
		{2000, nil},
	} {
		f.renew(Bounds{})
		for _, ts := range []int64{1000, 0, 1001, 999} {
			for _, dev := range []string{"a", "b"} {
				e := entry(dev, fmt.Sprint(dev, ts))
				e.PushkeyTS = ts
				f.accept(e)
			}
		}
		f.discard("b", tt.pushkeyTS)
		f.discard("a", 2000)
		f.expectWaiting(app, "a", false)
		left := make(map[string]bool)
		for range tt.stay {
			l := f.leaseOf(app, 1)[0]
			left[l.ID] = true
			f.settle(l.Ref())
		}
		f.nothing()
		for _, ts := range tt.stay {
			if !left["b"+ts] {
				f.Errorf("a verdict for %d removed the entry of %s; the others are %v", tt.pushkeyTS, ts, left)
			}
		}
		f.discard("b", tt.pushkeyTS) // nothing to discard is not an error
	}
}

func discardLeased(f *fixture) {
	later := entry("a", "2")
	later.PushkeyTS = 2000
	f.accept(entry("a", "1"), later)
	one := f.leaseOne("1", 0)
	f.discard("a", 1000)
	f.settle(one)
	f.leaseOne("2", 0)
}

func rouse(f *fixture) {
	e := entry("a", "1")
	e.Due = time.Now().Add(time.Hour)
	other := entry("d", "other")
	other.App, other.Due = otherApp, e.Due
	f.accept(e, other, entry("b", "2"), entry("c", "3"))
	leased := f.lease("2", "3")
	f.release(leased[0].Ref(), time.Hour)
	f.nothing()
	f.rouse()
	f.lease("1", "2") // and not the leased one
	f.nothing()
	f.release(leased[1].Ref(), time.Hour)
	f.nothing() // it is roused once
	f.rouse()
	f.lease("3")
	f.expectWaiting(otherApp, "d", true)
}
