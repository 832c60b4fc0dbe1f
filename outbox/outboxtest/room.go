package outboxtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// of returns the entry of a new device, in a group.
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

// sized returns an entry with a push of so many bytes.
func sized(bytes int, e outbox.Entry) outbox.Entry {
	e.Push = []byte(strings.Repeat("x", bytes))
	return e
}

// displace expects that an entry is accepted and displaces these, in any order. IDs joined by a bar are alternatives.
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
			f.Errorf("%+v was displaced by %s", r, e.ID)
		}
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.EqualFunc(got, ids, func(got, want string) bool { return slices.Contains(strings.Split(want, "|"), got) }) {
		f.Errorf("%s displaced %q, want %q", e.ID, got, ids)
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

func provenStay(f *fixture) {
	f.renew(Bounds{PerApp: 4})
	f.accept(proven("a", "a1"), proven("a", "a2"), proven("a", "a3"), proven("b", "b1"))
	f.refuse(proven("a", "a4"))
	f.refuse(proven("c", "c1"))
	f.refuse(guest("c", "c2"))
	f.kept("a1", "a2", "a3", "b1")
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
		f.Errorf("%d were displaced, want %d; %v", len(displaced), most, err)
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

func roomFull(f *fixture) {
	f.renew(Bounds{PerApp: 4})
	full := func(want bool) {
		f.Helper()
		if d := f.depths(); len(d) != 1 || d[0].Full != want {
			f.Errorf("the depths are %+v; full should be %v", d, want)
		}
	}
	f.accept(stranger("a", "a1"), guest("b", "b1"))
	full(false)
	f.accept(stranger("a", "a2"), guest("b", "b2"))
	full(false) // strangers are displaced
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
	full(true) // because nobody chose where these go
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
