package outboxtest

import (
	"errors"
	"fmt"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

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
	f.displace(proven("a", "a9"), "a4") // beyond its share, it displaces its own, and not the lowest
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
	f.displace(stranger("c", "c1"), "a3") // there is room, but strangers may not use it
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
	f.displace(proven("b", "b4"), "b2") // it is of the same group, which has its share
	f.refuse(proven("b", "b5"))
	f.kept("a2", "b1", "b3", "b4")
}
