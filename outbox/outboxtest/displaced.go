package outboxtest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func underWayStays(f *fixture) {
	f.renew(Bounds{PerApp: 8})
	later := stranger("a", "a3")
	later.Due = time.Now().Add(time.Hour)
	f.accept(stranger("a", "a1"), stranger("a", "a2"), later)
	f.accept(running(stranger("a", "a4")), running(guest("b", "b1")), running(guest("b", "b2")))
	leased := f.lease("a1", "a2")
	f.accept(proven("c", "c1"), proven("c", "c2"))
	f.displace(running(guest("d", "d1")), "a3")
	f.refuse(guest("d", "d2"))
	f.refuse(proven("c", "c3"))
	f.settle(leased[0].Ref())
	f.displace(proven("c", "c3"))
	f.refuse(guest("c", "c4"))
	f.kept("a2", "a4", "b1", "b2", "c1", "c2", "c3", "d1")
}

func endedMakesWay(f *fixture) {
	f.renew(Bounds{PerApp: 4})
	f.accept(running(stranger("a", "a1")), stranger("b", "b1"), proven("c", "c1"), proven("c", "c2"))
	one := f.lease("b1", "c1", "c2")[0]
	f.refuse(guest("d", "d1"))
	f.release(one.Ref(), time.Hour)
	f.displace(guest("d", "d1"), "b1")
	f.refuse(guest("e", "e1"))
	again := stranger("a", "a1") // its attempt has ended
	f.accept(again)
	f.track(again.Ref(), false)
	f.displace(guest("e", "e1"), "a1")
	f.kept("c1", "c2", "d1", "e1")
}

func displacedOnce(f *fixture) {
	f.renew(Bounds{PerApp: 3})
	out := stranger("a", "a1")
	f.accept(out, proven("b", "b1"), proven("c", "c1"))
	f.displace(guest("d", "d1"), "a1")
	f.expectWaiting(app, "a1", false)
	f.lease("b1", "c1", "d1")
	f.settle(ref("d1", "d1"))
	f.late(out, running(out))
	f.expectWaiting(app, "a1", false)
	f.endLeases()
	f.reopen()
	f.kept("b1", "c1")
}

func ownDevice(f *fixture) {
	f.renew(Bounds{PerApp: 3})
	behind := entry("a", "a2")
	behind.Group, behind.Standing = "a", outbox.Guest
	newer := behind
	newer.ID, newer.Standing = "a3", outbox.Proven
	first := behind
	first.ID = "a1"
	f.accept(first, behind, proven("b", "b1"))
	f.displace(newer, "a2")
	newer.ID = "a4"
	f.displace(newer, "a1")
	f.lease("b1", "a3")
	f.settle(ref("b1", "b1"))
	f.settle(ref("a", "a3"))
	f.drain("a4")
}

func displacedAgain(f *fixture) {
	f.renew(Bounds{PerApp: 3})
	e := guest("c", "c1")
	f.accept(stranger("a", "a1"), proven("b", "b1"), proven("b", "b2"))
	f.displace(running(e), "a1")
	if _, err := f.q.Accept(f.Context(), e); err != nil {
		f.Errorf("Accept: %v", err)
	}
	f.track(e.Ref(), false)
	f.displace(e) // which takes no room
	f.kept("b1", "b2", "c1")
	f.lease("b1", "b2", "c1")
}

// roomAtOnce accepts, delivers and displaces from many goroutines at once. Each entry must be displaced, delivered or left, and only once.
func roomAtOnce(f *fixture) {
	const callers, each, bound = 8, 30, 40
	f.renew(Bounds{PerApp: bound})
	var mu sync.Mutex
	ends := make(map[string]int)
	var accepted int
	end := func(ids ...string) {
		mu.Lock()
		defer mu.Unlock()
		for _, id := range ids {
			ends[id]++
		}
	}
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for n := range each {
				e := of(fmt.Sprint("group", (caller+n)%5), outbox.Standing((caller+n/3)%3), fmt.Sprint(caller, "-", n))
				e.Running = n%4 == 3
				displaced, err := f.q.Accept(f.Context(), e)
				for _, r := range displaced {
					end(r.ID)
				}
				switch {
				case errors.Is(err, outbox.ErrFull):
					continue
				case err != nil:
					f.Errorf("Accept: %v", err)
				}
				mu.Lock()
				accepted++
				mu.Unlock()
				if e.Running || n%7 == 6 {
					if n%2 == 0 && e.Running {
						end(e.ID)
					} else if e.Running {
						_ = f.q.Release(f.Context(), e.Ref(), time.Now(), true)
						continue
					} else {
						continue
					}
					if err := f.q.Settle(f.Context(), e.Ref()); err != nil {
						f.Errorf("Settle: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	left := f.listAll(app)
	if len(left) > bound {
		f.Errorf("%d entries are left, the bound is %d", len(left), bound)
	}
	for _, w := range left {
		end(w.ID)
	}
	if len(ends) != accepted {
		f.Errorf("%d entries were accepted, %d ended or are left", accepted, len(ends))
	}
	for id, n := range ends {
		if n != 1 {
			f.Errorf("%s ended %d times", id, n)
		}
	}
	for len(left) > 0 { // nothing is counted that is not there
		f.settle(outbox.Ref{App: app, Device: left[0].Device, ID: left[0].ID})
		left = left[1:]
	}
	for n := range bound {
		f.accept(proven(fmt.Sprint("last", n), fmt.Sprint("last", n)))
	}
}
