package outboxtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func whole(f *fixture) {
	alert := entry("a", "alert")
	alert.PushkeyTS, alert.Host = 1_772_366_400_123, "push.example.org"
	alert.Push = []byte("{\"text\": \"<b>&amp;</b> \u2028 \u00fc\",\n \"n\": 1.50}") // as the gateway wrote it, byte for byte
	update := badge("b", "update")
	update.PushkeyTS, update.Accepted, update.Expires = 0, time.Time{}, time.Now().Add(28*24*time.Hour)
	f.accept(alert, update)
	leased := f.lease("alert", "update")
	f.expectWhole(leased[0], alert)
	f.expectWhole(leased[1], update)
	if leased[0].Attempts != 0 {
		f.Errorf("attempted %d times, want 0", leased[0].Attempts)
	}
	for i := range leased {
		f.release(leased[i].Ref(), 0)
	}
	f.expectWhole(f.lease("alert", "update")[0], alert)
}

func oneAtATime(f *fixture) {
	f.accept(entry("a", "1"), entry("a", "2"), entry("a", "3"))
	one := f.leaseOne("1", 0)
	f.nothing()
	f.accept(entry("a", "4"))
	f.nothing()
	f.settle(one)
	two := f.leaseOne("2", 0)
	f.nothing()
	f.release(two, 0)
	f.drain("2", "3", "4") // a release does not change the order
}

func sideBySide(f *fixture) {
	f.accept(entry("a", "a1"), entry("b", "b1"), entry("a", "a2"), entry("b", "b2"), entry("c", "c1"))
	leased := f.lease("a1", "b1", "c1")
	f.settle(leased[1].Ref())
	f.leaseOne("b2", 0)
	f.settle(leased[0].Ref())
	f.leaseOne("a2", 0)
	f.nothing()
}

func atMost(f *fixture) {
	f.accept(entry("a", "a1"), entry("b", "b1"), entry("c", "c1"), entry("c", "c2"))
	seen := make(map[string]bool)
	for _, want := range []int{2, 1} {
		leased := f.leaseOf(app, 2)
		if len(leased) != want {
			f.Errorf("%d devices were leased, want %d", len(leased), want)
		}
		for i := range leased {
			seen[leased[i].ID] = true
		}
	}
	if !seen["a1"] || !seen["b1"] || !seen["c1"] {
		f.Errorf("leased %v", seen)
	}
	f.nothing()
}

func apps(f *fixture) {
	other := entry("a", "other") // of the same device
	other.App = otherApp
	f.accept(other)
	f.nothing()
	f.discard("a", 1000)
	f.accept(badge("a", "1"))
	one := f.leaseOne("1", 0)
	f.settle(ref("a", "other"))
	f.expectWhole(f.leaseOf(otherApp, 100)[0], other)
	f.settle(other.Ref())
	f.expectWaiting(otherApp, "a", false)
	f.nothing()
	f.settle(one)
}

func settleUnknown(f *fixture) {
	f.accept(entry("a", "1"), entry("a", "2"), entry("a", "3"))
	one := f.leaseOne("1", 0)
	f.settle(one)
	two := f.leaseOne("2", 0)
	for _, r := range []outbox.Ref{
		one,
		ref("a", "never"),
		ref("b", "2"),
		{App: otherApp, Device: device("a"), ID: "2"},
	} {
		f.settle(r)
	}
	f.nothing() // another entry has the lease
	f.settle(two)
	f.drain("3")
}

func releaseUnknown(f *fixture) {
	f.accept(entry("a", "1"), entry("a", "2"))
	one := f.leaseOne("1", 0)
	f.settle(one)
	two := f.leaseOne("2", 0)
	f.release(one, 0)
	f.release(ref("b", "2"), 0)
	f.nothing()
	f.settle(two)
}

func release(f *fixture) {
	f.accept(entry("a", "1"), entry("b", "other"))
	f.settle(f.lease("1", "other")[1].Ref())
	one := ref("a", "1")
	for attempts := 1; attempts <= 3; attempts++ {
		released := time.Now()
		f.release(one, later)
		f.nothing()
		f.leaseOne("1", attempts)
		if waited := time.Since(released); waited < later {
			f.Errorf("leased after %v, want %v", waited, later)
		}
	}
	f.nothing()
	f.release(one, -time.Hour) // a time that has passed
	f.leaseOne("1", 4)
}

func attemptsReset(f *fixture) {
	f.accept(entry("a", "1"), entry("a", "2"))
	f.release(f.leaseOne("1", 0), 0)
	f.settle(f.leaseOne("1", 1))
	f.release(f.leaseOne("2", 0), 0)
	f.settle(f.leaseOne("2", 1))
	f.accept(entry("a", "3"))
	f.leaseOne("3", 0)
}

// elapse lets a time pass that is too long for a quick run, unless it is fake.
func (f *fixture) elapse(d time.Duration) {
	f.Helper()
	if !f.h.FakeTime && (f.h.Quick || testing.Short()) {
		f.Skip("takes as long as a lease")
	}
	time.Sleep(d)
}

func lapse(f *fixture) {
	f.accept(entry("a", "1"), entry("a", "2"))
	one := f.leaseOne("1", 0)
	f.elapse(outbox.LeaseTime - time.Second)
	f.nothing()
	f.elapse(time.Second)
	f.leaseOne("1", 0)
	f.elapse(outbox.LeaseTime / 2) // it is a new lease
	f.nothing()
	f.settle(one)
	f.leaseOne("2", 0)
}

func leaseWaits(f *fixture) {
	leased := make(chan outbox.Leased, 1)
	go func() {
		defer close(leased)
		ctx, cancel := context.WithTimeout(f.Context(), patience)
		defer cancel()
		got, err := f.q.Lease(ctx, app, 1)
		if err != nil || len(got) != 1 {
			f.Errorf("Lease: %v, %v", got, err)
			return
		}
		f.track(got[0].Ref(), true)
		leased <- got[0]
	}()
	time.Sleep(moment)
	other := entry("a", "other")
	other.App = otherApp
	f.accept(other)
	time.Sleep(moment)
	select {
	case l := <-leased:
		f.Errorf("leased %s before there was an entry", l.ID)
	default:
	}
	f.accept(entry("a", "1"))
	if l := <-leased; l.ID != "1" {
		f.Errorf("leased %q", l.ID)
	}
}

func leaseEnds(f *fixture) {
	f.accept(entry("a", "1"))
	f.leaseOne("1", 0)
	ctx, cancel := context.WithCancel(f.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := f.q.Lease(ctx, app, 1)
		ended <- err
	}()
	time.Sleep(moment)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		f.Errorf("a context that ends: %v", err)
	}
	f.accept(entry("b", "2"))
	if leased, err := f.q.Lease(ctx, app, 1); !errors.Is(err, context.Canceled) {
		f.Errorf("a context that ended: %v, %v", leased, err)
	}
	f.leaseOne("2", 0) // was not lost
}

func waiting(f *fixture) {
	f.expectWaiting(app, "a", false)
	f.accept(entry("a", "1"))
	f.expectWaiting(app, "a", true)
	f.expectWaiting(app, "b", false)
	f.expectWaiting(otherApp, "a", false)
	one := f.leaseOne("1", 0)
	f.expectWaiting(app, "a", true)
	f.release(one, time.Hour)
	f.expectWaiting(app, "a", true)
	f.settle(one)
	f.expectWaiting(app, "a", false)
	f.accept(running(entry("b", "2")))
	f.expectWaiting(app, "b", true)
	f.discard("b", 1000)
	f.expectWaiting(app, "b", false)
}

func due(f *fixture) {
	e := entry("a", "1")
	e.Due = time.Now().Add(later)
	f.accept(e, entry("b", "other"), entry("a", "2"))
	f.settle(f.lease("other")[0].Ref()) // the second does not overtake the first
	f.nothing()
	one := f.lease("1")[0]
	if time.Now().Before(e.Due) {
		f.Error("leased before it was due")
	}
	f.settle(one.Ref())
	f.drain("2")

	e.ID, e.Due = "3", time.Now().Add(-time.Hour)
	f.accept(e)
	f.drain("3")
}

func dueBehind(f *fixture) {
	e := entry("a", "2")
	e.Due = time.Now().Add(time.Hour)
	f.accept(entry("a", "1"), e)
	f.drain("1", "2")
}
