package file

import (
	"fmt"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func TestAGraveLastsAsLongAsALeaseAndNotForEver(t *testing.T) {
	t.Parallel()
	g := newGraves()
	start := time.Now()
	e := entry("d", "discarded")
	e.Accepted = start.Add(-time.Second)
	for i, ago := range []time.Duration{0, outbox.LeaseTime - time.Millisecond} {
		now := start.Add(time.Duration(i) * 10 * outbox.LeaseTime)
		g.bury(ref("z", fmt.Sprint("begins a generation ", i)), now)
		g.bury(ref("a", fmt.Sprint(i)), now.Add(ago)) // at its beginning, and at its end
		g.buryOlder(app, deviceOf("d"), 1000, now.Add(ago))
		for at := ago; at < ago+outbox.LeaseTime; at += outbox.LeaseTime / 10 {
			g.bury(ref("b", fmt.Sprint(at)), now.Add(at))
			if again := entry("a", fmt.Sprint(i)); !g.holds(&again) || !g.holds(&e) {
				t.Errorf("%v after it was settled, it is forgotten", at-ago)
			}
		}
		g.bury(ref("c", "1"), now.Add(3*outbox.LeaseTime))
		g.bury(ref("c", "2"), now.Add(5*outbox.LeaseTime))
		if again := entry("a", fmt.Sprint(i)); g.holds(&again) || g.holds(&e) {
			t.Error("it is never forgotten")
		}
	}
}

func TestGravesAreBounded(t *testing.T) {
	t.Parallel()
	g := newGraves()
	g.most = 100
	now := time.Now()
	for n := range 1000 {
		g.bury(outbox.Ref{App: app, ID: fmt.Sprint(n)}, now)
		g.buryOlder(app, deviceOf(fmt.Sprint(n)), 1000, now)
		if n := max(len(g.young.entries)+len(g.old.entries), len(g.young.devices)+len(g.old.devices)); n > 200 {
			t.Fatalf("%d graves are kept, want at most 200", n)
		}
		if !g.settled(outbox.Ref{App: app, ID: fmt.Sprint(n)}) {
			t.Fatal("the newest is not among them")
		}
	}
}
