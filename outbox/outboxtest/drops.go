package outboxtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// drop expects that so many entries of a device are dropped.
func (f *fixture) drop(dev, id string, want int) {
	f.Helper()
	n, err := f.inspector().Drop(f.Context(), app, device(dev), id)
	if err != nil || n != want {
		f.Errorf("Drop %q of %s: %d, %v; want %d", id, dev, n, err, want)
	}
}

func (f *fixture) rouseDevice(dev string, want bool) {
	f.Helper()
	found, err := f.q.RouseDevice(f.Context(), app, device(dev))
	if err != nil || found != want {
		f.Errorf("RouseDevice %s: %v, %v; want %v", dev, found, err, want)
	}
}

func rouseDevice(f *fixture) {
	f.rouseDevice("a", false)
	later := entry("d", "4")
	later.Due = time.Now().Add(time.Hour)
	f.accept(entry("a", "1"), entry("b", "2"), later, running(entry("e", "5")))
	leased := f.lease("1", "2")
	f.release(leased[0].Ref(), time.Hour)
	f.rouseDevice("c", false)
	f.rouseDevice("b", true) // which is leased
	f.rouseDevice("e", true) // which runs
	f.nothing()
	f.rouseDevice("a", true)
	f.leaseOne("1", 1) // and not the others
	f.nothing()
	f.rouseDevice("d", true)
	f.leaseOne("4", 1)
	f.release(leased[1].Ref(), time.Hour)
	f.nothing() // it is roused once
	f.rouseDevice("b", true)
	f.settle(f.leaseOne("2", 1))
	f.rouseDevice("b", false)
	f.nothing()
}

func rouseDeviceDue(f *fixture) {
	f.renew(Bounds{PerApp: 100}) // so both devices are in the same part of a divided box
	f.accept(entry("a", "1"))
	time.Sleep(moment)
	f.accept(entry("b", "2"))
	time.Sleep(moment)
	f.rouseDevice("a", true)
	if l := f.leaseOf(app, 1)[0]; l.ID != "1" {
		f.Errorf("leased %s before what was due earlier", l.ID)
	}
}

func rouseDeviceWakes(f *fixture) {
	e := entry("a", "1")
	e.Due = time.Now().Add(time.Hour)
	f.accept(e)
	leased := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(f.Context(), patience)
		defer cancel()
		_, err := f.q.Lease(ctx, app, 1)
		f.track(e.Ref(), err == nil)
		leased <- err
	}()
	time.Sleep(moment)
	f.rouseDevice("a", true)
	if err := <-leased; err != nil {
		f.Errorf("Lease: %v", err)
	}
}

func dropOne(f *fixture) {
	f.inspector()
	f.accept(entry("a", "1"), entry("a", "2"), entry("a", "3"), entry("b", "2"))
	f.drop("a", "2", 1)
	f.drop("a", "2", 0)
	f.drop("a", "never", 0)
	f.drop("c", "1", 0)
	f.expectDepths("dropped", app+": 3 of 2")
	for _, w := range f.listAll(app) {
		if w.ID == "2" && w.Device == device("a") {
			f.Error("a dropped entry is listed")
		}
	}
	f.reopen()
	f.expectDepths("after a restart", app+": 3 of 2")
	f.settle(f.lease("1", "2")[1].Ref())
	f.settle(ref("a", "1"))
	f.drain("3")

	f.accept(entry("a", "2"), entry("a", "4")) // the same once more
	f.drop("a", "2", 1)
	f.accept(entry("a", "2"))
	f.drain("4", "2")
}

func dropAll(f *fixture) {
	f.inspector()
	other := entry("a", "other")
	other.App = otherApp
	f.accept(entry("a", "1"), badge("a", "2"), entry("a", "3"), entry("b", "4"), other)
	f.drop("a", "", 3)
	f.drop("a", "", 0)
	f.expectWaiting(app, "a", false)
	f.expectDepths("dropped", app+": 1 of 1", otherApp+": 1 of 1")
	f.reopen()
	f.expectDepths("after a restart", app+": 1 of 1", otherApp+": 1 of 1")
	f.drain("4")
	f.accept(entry("a", "5"), entry("a", "1"))
	f.drain("5", "1")
}

func dropRunning(f *fixture) {
	f.inspector()
	f.accept(entry("a", "1"), entry("a", "2"), entry("a", "3"))
	one := f.leaseOne("1", 0)
	f.drop("a", "1", 0)
	f.drop("a", "", 2)
	f.expectDepths("leased", app+": 1 of 1")
	f.nothing() // it still is
	f.release(one, 0)
	f.settle(f.leaseOne("1", 1))
	f.nothing()

	ran := running(entry("b", "ran"))
	f.accept(ran, entry("b", "behind"))
	f.drop("b", "ran", 0)
	f.drop("b", "", 1)
	f.nothing()
	f.release(ran.Ref(), 0)
	f.drop("b", "ran", 1)
	f.nothing()

	behind := running(entry("c", "behind"))
	f.accept(entry("c", "1"), behind, entry("c", "2"))
	f.drop("c", "", 2)
	f.nothing() // it runs, and is the first now
	f.release(behind.Ref(), 0)
	f.drain("behind")
}

func dropLapsed(f *fixture) {
	f.inspector()
	ran, behind := running(entry("b", "ran")), running(entry("c", "behind"))
	f.accept(entry("a", "1"), entry("a", "2"), ran, entry("c", "3"))
	f.lease("1", "3")
	f.elapse(outbox.LeaseTime - time.Second)
	f.drop("a", "1", 0)
	f.drop("b", "ran", 0)
	f.accept(behind)
	f.elapse(time.Second)
	f.drop("a", "1", 1)
	f.drop("b", "ran", 1)
	f.drop("c", "", 1)
	f.settle(f.leaseOne("2", 0))
	f.nothing() // the one behind still runs
	f.settle(behind.Ref())
	f.expectDepths("dropped")
}

func dropDue(f *fixture) {
	f.inspector()
	f.accept(entry("a", "1"), entry("a", "2"), entry("a", "3"))
	due := time.Now().Add(later)
	f.release(f.leaseOne("1", 0), later)
	f.drop("a", "2", 1)
	f.nothing()
	f.drop("a", "1", 1)
	f.nothing()
	f.leaseOne("3", 1)
	if time.Now().Before(due) {
		f.Error("leased before the device was due")
	}
}

func dropRoom(f *fixture) {
	for _, b := range []Bounds{{PerApp: 2}, {PerDevice: 2}} {
		f.renew(b)
		f.inspector()
		f.accept(entry("a", "1"), entry("a", "2"))
		f.refuse(entry("a", "3"))
		f.drop("a", "1", 1)
		f.accept(entry("a", "3"))
		f.refuse(entry("a", "4"))
		f.drop("a", "never", 0)
		f.refuse(entry("a", "4"))
		f.drop("a", "", 2)
		f.accept(entry("a", "4"), entry("a", "5"))
		f.refuse(entry("a", "6"))
	}
}

func dropsAtOnce(f *fixture) {
	const devices, entries = 6, 12
	i := f.inspector()
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	var (
		mu               sync.Mutex
		dropped          = make(map[outbox.Ref]bool)
		settled, removed int
	)
	count := func(r outbox.Ref, n int) {
		mu.Lock()
		defer mu.Unlock()
		if n > 0 && r.ID != "" {
			dropped[r] = true
		}
		if removed += n; settled+removed == devices*entries {
			cancel()
		}
	}
	c := newCrowd(ctx, f, 4, func(l outbox.Leased) bool {
		mu.Lock()
		defer mu.Unlock()
		if dropped[l.Ref()] {
			f.Errorf("%s was leased after it was dropped", l.ID)
		}
		if (settled+l.Attempts)%3 == 0 && l.Attempts < 2 {
			return false
		}
		if settled++; settled+removed == devices*entries {
			cancel()
		}
		return true
	})
	for dev := range devices {
		c.wg.Go(func() {
			for n := range entries {
				if _, err := f.q.Accept(f.Context(), entry(fmt.Sprint(dev), fmt.Sprint(n))); err != nil {
					f.Errorf("Accept: %v", err)
				}
			}
		})
		c.wg.Go(func() {
			for n := range entries {
				r := ref(fmt.Sprint(dev), fmt.Sprint(n))
				if n%5 == 4 {
					r.ID = "" // all of the device
				}
				n, err := i.Drop(f.Context(), app, r.Device, r.ID)
				if err != nil {
					f.Errorf("Drop: %v", err)
				}
				count(r, n)
			}
		})
	}
	c.wg.Wait()
	if settled+removed != devices*entries {
		f.Errorf("%d entries were settled and %d dropped, want %d together", settled, removed, devices*entries)
	}
	f.expectDepths("at last")
	f.nothing()
}
