package outboxtest

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func runningReleased(f *fixture) {
	e := running(entry("a", "1"))
	f.accept(e)
	f.nothing()
	f.rouse()
	f.nothing()
	f.release(e.Ref(), later)
	f.nothing()
	f.settle(f.leaseOne("1", 1))
	f.nothing()
}

func runningLapsed(f *fixture) {
	f.accept(running(entry("a", "1")))
	f.elapse(outbox.LeaseTime - time.Second)
	f.nothing()
	f.elapse(time.Second)
	f.lease("1")
}

func runningSettled(f *fixture) {
	e := running(entry("a", "1"))
	f.accept(e, entry("a", "2"))
	f.nothing()
	f.settle(e.Ref())
	f.drain("2")
}

func runningBehind(f *fixture) {
	one, two := running(entry("a", "1")), running(entry("a", "2"))
	f.accept(one, two, entry("a", "3"))
	f.settle(one.Ref())
	f.nothing()
	f.rouse()
	f.nothing()
	f.release(two.Ref(), 0)
	f.drain("2", "3")

	four, five := running(entry("a", "4")), running(entry("a", "5"))
	f.accept(four, five, entry("a", "6"))
	f.settle(five.Ref()) // before the first
	f.nothing()
	f.release(four.Ref(), 0)
	f.drain("4", "6")
}

func runningLeft(f *fixture) {
	first, e := entry("a", "1"), running(entry("a", "2"))
	first.Due = time.Now().Add(later)
	e.PushkeyTS = 2000
	f.accept(first, e)
	f.discard("a", 1000)
	f.rouse()
	f.nothing()
	time.Sleep(later)
	f.nothing()
	f.release(e.Ref(), 0)
	f.drain("2")
}
