package outboxtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// of is the entry of a device of its own, in a group.
func of(group string, s outbox.Standing, id string) outbox.Entry {
	e := entry(id, id)
	if group != "" {
		e.Group, e.Host = group, "push."+group
	}
	e.Standing = s
	return e
}

func stranger(group, id string) outbox.Entry { return of(group, outbox.Stranger, id) }
func guest(group, id string) outbox.Entry    { return of(group, outbox.Guest, id) }
func proven(group, id string) outbox.Entry   { return of(group, outbox.Proven, id) }

// sized is an entry with a push of so many bytes.
func sized(bytes int, e outbox.Entry) outbox.Entry {
	e.Push = []byte(strings.Repeat("x", bytes))
	return e
}

// displace expects that an entry is accepted and that these make way for it, in any order; of those of which any may be it, ids are joined
// by a bar.
func (f *fixture) displace(e outbox.Entry, ids ...string) {
	f.Helper()
	displaced, err := f.q.Accept(f.Context(), e)
	if err != nil {
		f.Errorf("Accept %s: %v", e.ID, err)
		return
	}
	if e.Running {
		f.track(e.Ref(), true)
	}
	var got []string
	for _, r := range displaced {
		got = append(got, r.ID)
		if r.App != e.App || r.ID == e.ID {
			f.Errorf("%+v made way for %s", r, e.ID)
		}
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.EqualFunc(got, ids, func(got, want string) bool { return slices.Contains(strings.Split(want, "|"), got) }) {
		f.Errorf("for %s, %q made way, want %q", e.ID, got, ids)
	}
}

// kept expects that the queue has these entries.
func (f *fixture) kept(ids ...string) {
	f.Helper()
	var got []string
	for _, w := range f.listAll(app) {
		got = append(got, w.ID)
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		f.Errorf("the queue has %q, want %q", got, ids)
	}
}

func makesWay(f *fixture) {
	f.renew(Bounds{PerApp: 8})
	f.accept(
		stranger("a", "a1"), stranger("a", "a2"), stranger("b", "b1"), stranger("a", "a3"),
		guest("c", "c1"), guest("c", "c2"), proven("d", "d1"), proven("d", "d2"),
	)
	f.displace(guest("e", "e1"), "a3")
	f.displace(proven("f", "f1"), "a2")
	f.displace(proven("g", "g1"), "a1|b1")
	f.displace(proven("h", "h1"), "a1|b1")
	f.displace(proven("i", "i1"), "c2")
	f.displace(proven("j", "j1"), "c1|e1")
	f.displace(proven("k", "k1"), "c1|e1")
	f.refuse(proven("l", "l1"))
	f.refuse(guest("l", "l2"))
	f.refuse(stranger("l", "l3"))
	f.kept("d1", "d2", "f1", "g1", "h1", "i1", "j1", "k1")
}

func makesWayBySize(f *fixture) {
	f.renew(Bounds{Size: 1000})
	f.accept(
		sized(50, stranger("a", "a1")), sized(50, stranger("a", "a2")), sized(50, stranger("a", "a3")), sized(160, stranger("b", "b1")),
		sized(160, stranger("b", "b2")), sized(530, proven("c", "c1")),
	)
	f.displace(sized(200, guest("d", "d1")), "b1", "b2")
	f.displace(sized(200, guest("d", "d2")), "a2", "a3")
}

func groupShare(f *fixture) {
	f.renew(Bounds{PerApp: 8})
	for n := range 6 {
		f.accept(guest("a", fmt.Sprint("a", n)))
	}
	f.refuse(guest("a", "a6"))
	f.refuse(stranger("a", "a7"))
	f.displace(proven("a", "a8"), "a5")
	f.displace(guest("b", "b1"))
	f.displace(stranger("c", "c1"))
	f.displace(proven("a", "a9"), "a4") // beyond its share, its own make way, and not the lowest
	f.kept("a0", "a1", "a2", "a3", "a8", "a9", "b1", "c1")
}

func groupShareOfSize(f *fixture) {
	f.renew(Bounds{Size: 1000})
	f.accept(sized(500, guest("a", "a1")), sized(250, guest("a", "a2")))
	f.refuse(sized(1, guest("a", "a3")))
	f.displace(sized(1, proven("a", "a4")), "a2")
	f.displace(sized(250, guest("b", "b1")))
	f.refuse(sized(751, proven("c", "c1")))
	f.kept("a1", "a4", "b1")
}

func strangersShare(f *fixture) {
	f.renew(Bounds{PerApp: 8})
	f.accept(stranger("a", "a1"), stranger("b", "b1"), stranger("a", "a2"), stranger("a", "a3"))
	f.refuse(stranger("a", "a4"))
	f.displace(stranger("c", "c1"), "a3") // there is room, but it is not theirs
	f.refuse(stranger("c", "c2"))
	f.displace(stranger("d", "d1"), "a2")
	f.refuse(stranger("e", "e1"))
	f.displace(guest("e", "e2"))
	f.kept("a1", "b1", "c1", "d1", "e2")
}

func strangersShareOfSize(f *fixture) {
	f.renew(Bounds{Size: 1000})
	f.accept(sized(200, stranger("a", "a1")), sized(200, stranger("a", "a2")), sized(100, stranger("b", "b1")))
	f.refuse(sized(1, stranger("a", "a3")))
	f.displace(sized(1, stranger("b", "b2")), "a2")
	f.kept("a1", "b1", "b2")
}

func rivals(f *fixture) {
	f.renew(Bounds{PerApp: 4})
	f.accept(guest("a", "a1"), guest("b", "b1"), guest("a", "a2"), guest("a", "a3"))
	f.displace(guest("b", "b2"), "a3")
	f.refuse(guest("b", "b3"))
	f.refuse(guest("a", "a4"))
	f.refuse(stranger("c", "c0"))
	f.displace(guest("c", "c1"), "a2|b2")
	f.displace(guest("d", "d1"), "a2|b2")
	f.refuse(guest("e", "e1"))
	f.kept("a1", "b1", "c1", "d1")

	f.renew(Bounds{Size: 1000})
	f.accept(sized(500, guest("a", "a1")), sized(200, guest("b", "b1")), sized(200, guest("b", "b2")), sized(100, guest("c", "c1")))
	f.displace(sized(100, guest("c", "c2")), "a1")
	f.displace(sized(400, guest("d", "d1")))
	f.refuse(sized(200, guest("c", "c3")))
	f.kept("b1", "b2", "c1", "c2", "d1")
}

func provenShare(f *fixture) {
	f.renew(Bounds{PerApp: 28})
	full := 0
	for n := 0; full < 2; n++ {
		full = 0
		for _, group := range []string{"a", "b"} {
			_, err := f.q.Accept(f.Context(), proven(group, fmt.Sprint(group, n)))
			if errors.Is(err, outbox.ErrFull) {
				full++
			} else if err != nil {
				f.Fatalf("Accept: %v", err)
			}
		}
	}
	if n := len(f.listAll(app)); n != 24 {
		f.Errorf("two groups have %d entries, want 24 of 28", n)
	}
	f.displace(guest("a", "a guest"))
	f.displace(proven("c", "c1"))
	f.displace(proven("d", "d1"))

	f.renew(Bounds{Size: 2800})
	f.accept(sized(1200, proven("a", "a1")), sized(1199, proven("b", "b1")), sized(1, proven("b", "b2")))
	f.refuse(sized(1, proven("a", "a2")))
	f.displace(sized(300, proven("c", "c1")))
}

func provenStay(f *fixture) {
	f.renew(Bounds{PerApp: 4})
	f.accept(proven("a", "a1"), proven("a", "a2"), proven("a", "a3"), proven("b", "b1"))
	f.refuse(proven("a", "a4"))
	f.refuse(proven("c", "c1"))
	f.refuse(guest("c", "c2"))
	f.kept("a1", "a2", "a3", "b1")
}

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

func notEnough(f *fixture) {
	f.renew(Bounds{Size: 1000})
	f.accept(sized(100, stranger("a", "a1")), sized(100, stranger("b", "b1")), sized(100, guest("c", "c1")), sized(600, proven("d", "d1")))
	f.refuse(sized(401, proven("e", "e1")))
	f.refuse(sized(301, guest("e", "e2")))
	f.kept("a1", "b1", "c1", "d1")
	f.displace(sized(300, guest("e", "e3")), "a1", "b1")
	f.kept("c1", "d1", "e3")

	f.renew(Bounds{PerApp: 8})
	f.accept(stranger("a", "a1"))
	for n := range 7 {
		f.accept(proven(fmt.Sprint("group", n), fmt.Sprint("p", n)))
	}
	f.displace(guest("b", "b1"), "a1")
	f.refuse(guest("a", "a2"))
}

func mostDisplaced(f *fixture) {
	const most = 64
	f.renew(Bounds{Size: 10_000})
	for n := range 100 {
		f.accept(sized(10, stranger("a", fmt.Sprint(n))))
	}
	f.accept(sized(7_000, proven("b", "b1")), sized(2_000, proven("c", "c1")))
	f.refuse(sized(10*most+1, proven("d", "d1")))
	if n := len(f.listAll(app)); n != 102 {
		f.Errorf("%d entries are left, want 102", n)
	}
	displaced, err := f.q.Accept(f.Context(), sized(10*most, proven("d", "d1")))
	if err != nil || len(displaced) != most {
		f.Errorf("%d made way, want %d; %v", len(displaced), most, err)
	}
	if n := len(f.listAll(app)); n != 103-most {
		f.Errorf("%d entries are left, want %d", n, 103-most)
	}
}

func ungrouped(f *fixture) {
	f.renew(Bounds{PerApp: 4})
	f.accept(stranger("", "1"), stranger("", "2"), stranger("", "3"), stranger("", "4"))
	f.refuse(stranger("", "5"))
	f.displace(guest("", "6"), "4")
	f.displace(proven("", "7"), "3")
	f.displace(proven("", "8"), "2")
	f.displace(proven("", "9"), "1")
	f.displace(proven("", "10"), "6")
	f.refuse(proven("", "11"))
	f.kept("7", "8", "9", "10")

	f.renew(Bounds{PerApp: 4})
	f.accept(guest("", "1"), guest("", "2"), guest("", "3"), guest("a", "a1"))
	f.refuse(guest("b", "b1"))
	f.displace(proven("b", "b2"), "3")
	f.kept("1", "2", "a1", "b2")
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

func roomRestart(f *fixture) {
	f.renew(Bounds{PerApp: 8})
	f.accept(
		stranger("a", "a1"), guest("b", "b1"), stranger("a", "a2"), guest("b", "b2"), guest("b", "b3"), proven("b", "b4"), stranger("c", "c1"),
	)
	whole := f.listAll(app)
	f.reopen()
	for i, w := range f.listAll(app) {
		if w.Group != whole[i].Group || w.Standing != whole[i].Standing || w.ID[:1] != w.Group {
			f.Errorf("after a restart, %s is a %v's of %q", w.ID, w.Standing, w.Group)
		}
	}
	f.displace(stranger("d", "d1"))
	f.displace(guest("e", "e1"), "a2")
	f.refuse(stranger("d", "d2"))
	f.displace(guest("b", "b5"), "a1|c1|d1")
	f.displace(guest("b", "b6"), "a1|c1|d1")
	f.refuse(guest("b", "b7"))
	f.displace(proven("b", "b8"), "b6")
}

func shareRoom(f *fixture) {
	for _, end := range map[string]func(id string){
		"settled":   func(id string) { f.settle(ref(id, id)) },
		"discarded": func(id string) { f.discard(id, 1000) },
		"dropped":   func(id string) { f.drop(id, "", 1) },
	} {
		f.renew(Bounds{PerApp: 8})
		f.accept(
			stranger("a", "a1"), stranger("b", "b1"), stranger("c", "c1"), stranger("d", "d1"),
			guest("e", "e1"), guest("e", "e2"), guest("e", "e3"),
		)
		f.refuse(stranger("f", "f"))
		last := "b1"
		for n := range 3 {
			end(last)
			last = fmt.Sprint("f", n)
			f.displace(stranger("f", last))
			f.refuse(stranger("g", "g1"))
		}
		f.displace(guest("e", "e4"))
		f.displace(guest("e", "e5"), "a1|c1|d1|f2")
		f.displace(guest("e", "e6"), "a1|c1|d1|f2")
		f.refuse(guest("e", "e7"))
		end("e5")
		f.displace(guest("e", "e8"))
		f.refuse(guest("e", "e9"))
	}
}

func shareReplaced(f *fixture) {
	f.renew(Bounds{PerApp: 4})
	old := about("room", guest("a", "a1"))
	f.accept(old, guest("a", "a2"), guest("a", "a3"), proven("b", "b1"))
	f.refuse(guest("a", "a4"))
	next := old
	next.ID = "a1 again"
	f.displace(next)
	next.ID, next.Standing = "a1 proven", outbox.Proven
	f.displace(next)
	f.kept("a1 proven", "a2", "a3", "b1")
	next.ID, next.Group, next.Standing = "b2", "b", outbox.Guest
	f.displace(next)
	f.displace(proven("b", "b3"), "a3")
	f.displace(proven("b", "b4"), "b2") // which is of the same group, that has its share
	f.refuse(proven("b", "b5"))
	f.kept("a2", "b1", "b3", "b4")
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

// roomAtOnce has many accept, deliver and displace at once. Each entry is reported as displaced, or delivered, or left, and that once.
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

func roomFull(f *fixture) {
	f.renew(Bounds{PerApp: 4})
	full := func(want bool) {
		f.Helper()
		if d := f.depths(); len(d) != 1 || d[0].Full != want {
			f.Errorf("what waits is %+v; full should be %v", d, want)
		}
	}
	f.accept(stranger("a", "a1"), guest("b", "b1"))
	full(false)
	f.accept(stranger("a", "a2"), guest("b", "b2"))
	full(false) // strangers make way
	f.displace(proven("c", "c1"), "a2")
	full(false)
	f.displace(proven("c", "c2"), "a1")
	full(true)
	f.settle(ref("b1", "b1"))
	full(false)

	f.renew(Bounds{Size: 100_000})
	f.accept(sized(50_000, guest("b", "b1")))
	full(false)
	f.accept(sized(49_900, guest("c", "c1")))
	full(true)
	f.renew(Bounds{PerApp: 2})
	f.accept(stranger("", "1"), stranger("", "2"))
	full(true) // as nobody chose where these go
}

func deviceFull(f *fixture) {
	f.renew(Bounds{PerApp: 3, PerDevice: 1})
	f.accept(stranger("a", "a1"), stranger("b", "b1"), proven("c", "c1"))
	e := proven("c", "c2")
	e.Device = device("c1")
	if _, err := f.q.Accept(f.Context(), e); !errors.Is(err, outbox.ErrDeviceFull) || !errors.Is(err, outbox.ErrFull) {
		f.Errorf("Accept: error %v, want ErrDeviceFull", err)
	}
	f.kept("a1", "b1", "c1")
	_, err := f.q.Accept(f.Context(), stranger("d", "d1"))
	if !errors.Is(err, outbox.ErrFull) || errors.Is(err, outbox.ErrDeviceFull) {
		f.Errorf("Accept: error %v, want ErrFull, and not for a device", err)
	}
}
