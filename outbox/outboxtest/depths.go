package outboxtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func (f *fixture) inspector() outbox.Inspector {
	f.Helper()
	i, ok := f.q.(outbox.Inspector)
	if !ok {
		f.Skip("the queue is not an outbox.Inspector")
	}
	return i
}

func (f *fixture) depths() []outbox.Depth {
	f.Helper()
	depths, err := f.inspector().Depths(f.Context())
	if err != nil {
		f.Fatalf("Depths: %v", err)
	}
	slices.SortFunc(depths, func(a, b outbox.Depth) int { return strings.Compare(a.App, b.App) })
	return depths
}

// expectDepths expects the pending entries, as "app: entries of devices"; app and otherApp in this order.
func (f *fixture) expectDepths(when string, want ...string) {
	f.Helper()
	got := []string{}
	for _, d := range f.depths() {
		got = append(got, fmt.Sprintf("%s: %d of %d", d.App, d.Entries, d.Devices))
	}
	if !slices.Equal(got, want) {
		f.Errorf("%s: pending are %q, want %q", when, got, want)
	}
}

func depths(f *fixture) {
	f.inspector()
	other := entry("a", "other") // of the same device
	other.App = otherApp
	const one = otherApp + ": 1 of 1"
	f.expectDepths("at first")
	f.accept(entry("a", "1"), entry("a", "2"), entry("b", "3"), other)
	f.expectDepths("accepted", app+": 3 of 2", one)
	leased := f.lease("1", "3")
	f.expectDepths("leased", app+": 3 of 2", one)
	f.settle(leased[0].Ref())
	f.expectDepths("settled", app+": 2 of 2", one)
	f.settle(leased[0].Ref())
	f.expectDepths("settled again", app+": 2 of 2", one)
	f.release(leased[1].Ref(), time.Hour)
	f.expectDepths("released", app+": 2 of 2", one)
	f.accept(badge("b", "b1"), badge("b", "b2"), running(entry("c", "4")))
	f.expectDepths("a badge update in place of another", app+": 4 of 3", one)
	f.discard("b", 1000)
	f.expectDepths("discarded", app+": 2 of 2", one)
	f.drop("a", "2", 1)
	f.expectDepths("dropped", app+": 1 of 1", one)
	f.release(ref("c", "4"), 0)
	f.reopen()
	f.expectDepths("after a restart", app+": 1 of 1", one)
	f.settle(ref("c", "4"))
	f.expectDepths("an app less", one)
	f.accept(entry("a", "2"))
	f.expectDepths("an app more", app+": 1 of 1", one)
	f.drop("a", "", 1)
	f.settle(other.Ref())
	f.expectDepths("at last")
}

func (f *fixture) expectOldest(when string, want time.Time) {
	f.Helper()
	depths := f.depths()
	if len(depths) != 1 || depths[0].Oldest.UnixMilli() != want.UnixMilli() {
		f.Errorf("%s: pending are %v, want one app, the oldest of %v", when, depths, want)
	}
}

func oldest(f *fixture) {
	f.inspector()
	now := time.Now()
	// They expire in another order than they were accepted.
	accept := func(dev, id string, ago, in time.Duration) outbox.Entry {
		e := entry(dev, id)
		e.Accepted, e.Expires = now.Add(-ago), now.Add(in)
		f.accept(e)
		return e
	}
	long := accept("a", "long", time.Hour, 3*time.Hour)
	f.expectOldest("the only one", long.Accepted)
	medium := accept("b", "medium", 2*time.Minute, 2*time.Hour)
	f.expectOldest("one that expires earlier", medium.Accepted)
	accept("c", "longest", 2*time.Hour, 9*time.Hour)
	f.expectOldest("one that expires later", medium.Accepted)
	short := accept("a", "short", 0, time.Hour)
	f.expectOldest("one behind another", short.Accepted)
	f.reopen()
	f.expectOldest("after a restart", short.Accepted)
	f.settle(short.Ref())
	f.expectOldest("settled", medium.Accepted)
	f.drop("b", "medium", 1)
	f.expectOldest("dropped", long.Accepted)
	f.settle(ref("c", "longest"))
	f.expectOldest("another one settled", long.Accepted)
	unknown := entry("d", "unknown")
	unknown.Accepted, unknown.Expires = time.Time{}, now.Add(time.Minute)
	f.accept(unknown)
	if d := f.depths(); len(d) != 1 || !d[0].Oldest.IsZero() {
		f.Errorf("pending are %v, want no time", d)
	}
}

func depthOfRefused(f *fixture) {
	f.renew(Bounds{PerApp: 2})
	f.inspector()
	f.accept(entry("a", "1"), badge("a", "b1"))
	f.refuse(entry("b", "2"))
	f.expectDepths("refused", app+": 2 of 1")
	f.accept(badge("a", "b2"))
	f.expectDepths("in place of another", app+": 2 of 1")
}
