package outboxtest

import "time"

func newestBadge(f *fixture) {
	f.accept(badge("a", "b1"), entry("a", "1"), badge("a", "b2"), entry("a", "2"), badge("a", "b3"))
	f.drain("1", "2", "b3")
	f.accept(badge("a", "b4"))
	f.accept(entry("a", "3")) // removes nothing
	f.drain("b4", "3")
}

func badgeScope(f *fixture) {
	other := badge("a", "other")
	other.App = otherApp
	f.accept(badge("a", "a1"), badge("b", "b1"), other, badge("a", "a2"))
	f.lease("a2", "b1")
	f.expectWaiting(otherApp, "a", true)
}

func badgeLeased(f *fixture) {
	f.accept(badge("a", "b1"))
	one := f.leaseOne("b1", 0)
	f.accept(badge("a", "b2"), badge("a", "b3"))
	f.nothing()
	f.release(one, 0)
	f.drain("b1", "b3")
}

func badgeRunning(f *fixture) {
	one, two := running(badge("a", "b1")), running(badge("a", "b2"))
	f.accept(one, two, badge("a", "b3"), badge("a", "b4"))
	f.settle(one.Ref())
	f.nothing()
	f.release(two.Ref(), 0)
	f.drain("b2", "b4")
}

func badgeDue(f *fixture) {
	f.accept(badge("a", "b1"))
	due := time.Now().Add(later)
	f.release(f.leaseOne("b1", 0), later)
	f.accept(badge("a", "b2"))
	f.nothing()
	f.leaseOne("b2", 1)
	if time.Now().Before(due) {
		f.Error("leased before the device was due")
	}
}
