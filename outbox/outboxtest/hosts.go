package outboxtest

import (
	"fmt"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// at returns an entry that goes to a host.
func at(host string, e outbox.Entry) outbox.Entry {
	e.Host = host
	return e
}

// inAnHour returns an entry that is due in an hour.
func inAnHour(e outbox.Entry) outbox.Entry {
	e.Due = time.Now().Add(time.Hour)
	return e
}

// rouseHost expects that so many devices of a host are due.
func (f *fixture) rouseHost(host string, most, want int) {
	f.Helper()
	n, err := f.q.RouseHost(f.Context(), app, host, most)
	if err != nil || n != want {
		f.Errorf("RouseHost %q, at most %d: %d, %v; want %d", host, most, n, err, want)
	}
}

func rouseHost(f *fixture) {
	other := inAnHour(at("one", entry("a", "other")))
	other.App = otherApp
	f.accept(
		other, inAnHour(at("one", entry("a", "1"))), inAnHour(at("one", entry("b", "2"))), inAnHour(at("on", entry("c", "3"))),
		inAnHour(at("one:8443", entry("d", "4"))), inAnHour(entry("e", "5")), at("one", entry("f", "6")), running(at("one", entry("g", "7"))),
	)
	six := f.leaseOne("6", 0)
	f.rouseHost("two", 0, 0)
	f.rouseHost("on", 0, 1)
	f.settle(f.leaseOne("3", 1))
	f.rouseHost("one", 0, 2) // and not those that are leased or run
	f.lease("1", "2")
	f.rouseHost("one", 0, 0)
	f.nothing()
	f.release(six, time.Hour)
	f.nothing() // it is roused once
	f.rouseHost("one", 0, 1)
	f.leaseOne("6", 1)
	f.rouseHost("", 0, 1)
	f.leaseOne("5", 1)
	f.rouseHost("one:8443", 0, 1)
	f.leaseOne("4", 1)
	f.expectWaiting(otherApp, "a", true)
}

func rouseHostMost(f *fixture) {
	for _, host := range []string{"one", ""} {
		f.renew(Bounds{})
		const devices = 7
		for n := range devices {
			f.accept(inAnHour(at(host, entry(fmt.Sprint(n), fmt.Sprint(n)))))
		}
		f.accept(inAnHour(at("two", entry("other", "other"))))
		f.rouseHost(host, 2, 2)
		seen := make(map[string]bool)
		for len(seen) < 2 {
			for _, l := range f.leaseOf(app, 100) {
				seen[l.ID] = true
			}
		}
		if len(seen) > 2 || seen["other"] {
			f.Errorf("host %q: leased %v, want 2 of its devices", host, seen)
		}
		f.nothing()
		f.rouseHost(host, 100, devices-len(seen))
		f.rouseHost(host, 0, devices-len(seen))
		if n := len(f.leaseOf(app, 100)); n != devices-len(seen) {
			f.Errorf("host %q: %d devices were leased, want %d", host, n, devices-len(seen))
		}
		f.rouseHost(host, 1, 0)
		f.nothing()
	}
}

// A device belongs to the host of its oldest entry, however that became the oldest.
func rouseHostOldest(f *fixture) {
	for name, tt := range map[string]struct {
		next     func()
		attempts int // of the device; they go on unless an entry was settled
	}{
		"settled":   {func() { f.settle(ref("a", "1")) }, 0},
		"discarded": {func() { f.discard("a", 1000) }, 2},
		"replaced":  {func() { f.accept(at("three", badge("a", "3"))) }, 2},
	} {
		f.renew(Bounds{})
		second := at("two", entry("a", "2"))
		second.PushkeyTS = 2000
		f.accept(inAnHour(at("one", badge("a", "1"))), second)
		f.rouseHost("two", 0, 0)
		f.rouseHost("one", 0, 1)
		f.release(f.leaseOne("1", 1), time.Hour)
		tt.next()
		f.rouseHost("one", 0, 0)
		f.rouseHost("two", 0, 1)
		f.settle(f.leaseOne("2", tt.attempts))
		if name == "replaced" {
			f.rouseHost("three", 0, 1)
			f.settle(f.leaseOne("3", 0))
		}
		for _, host := range []string{"one", "two", "three"} {
			f.rouseHost(host, 0, 0)
		}
	}
}

func rouseHostDropped(f *fixture) {
	f.inspector()
	f.accept(inAnHour(at("one", entry("a", "1"))), at("two", entry("a", "2")))
	f.drop("a", "1", 1)
	f.rouseHost("one", 0, 0)
	f.rouseHost("two", 0, 1)
	f.drop("a", "", 1)
	f.rouseHost("two", 0, 0)
}

func rouseHostRestart(f *fixture) {
	f.accept(inAnHour(at("one", entry("a", "1"))), at("two", entry("a", "2")), inAnHour(at("two", entry("b", "3"))))
	f.reopen()
	f.rouseHost("one", 0, 1)
	f.rouseHost("two", 0, 1)
	leased := f.lease("1", "3")
	f.expectWhole(leased[0], at("one", leased[0].Entry))
	if leased[0].Host != "one" || leased[1].Host != "two" {
		f.Errorf("leased entries of %q and %q", leased[0].Host, leased[1].Host)
	}
	f.settle(leased[1].Ref())
	f.settle(leased[0].Ref())
	f.release(f.leaseOne("2", 0), time.Hour)
	f.rouseHost("one", 0, 0)
	f.rouseHost("two", 0, 1)
}
