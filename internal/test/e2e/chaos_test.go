package e2e

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
)

// chaosTime returns how long the push services misbehave. E2E_CHAOS changes it, for example to 10m.
func chaosTime() time.Duration { return envTime("E2E_CHAOS", 5*time.Second) }

// TestChaosAtThePushServicesLosesAndDoublesNothing lets users of all four providers send one event after another. Meanwhile, each
// connection to the push services fails in a different way: it stalls or is reset at a byte, TLS is wrong, streams are refused, given back
// or cut off. The checker verifies throughout that only dead pushkeys are rejected, and that a push arrives twice only if its answer got
// lost. In the end, it verifies that nothing is lost. E2E_SEED repeats the same plans in the same order.
func TestChaosAtThePushServicesLosesAndDoublesNothing(t *testing.T) {
	seed := envSeed(t)
	c := newChaos(t, seed)
	users := c.users()
	c.each(users, func(u *user) { u.send(fmt.Sprintf("$%d-0", u.number)) })
	before := c.gateway.footprint()

	for _, f := range c.fronts {
		f.storm()
	}
	over := time.After(chaosTime())
	var done atomic.Bool
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		c.each(users, func(u *user) { u.live(&done) })
	}()
	c.watch(over)
	for _, f := range c.fronts {
		f.settle()
	}
	done.Store(true)
	<-finished
	c.reload()
	report := c.drainedWithin(3 * patience)
	var b strings.Builder
	report.Write(&b)
	t.Logf("\n%s\n%s", b.String(), c.tally)
	c.wantEachCutRepeated(report)
	never := c.tally.never()
	if long := chaosTime(); long >= 5*time.Minute && len(never) > 0 || long >= time.Minute && len(never) > len(plans)/2 {
		t.Errorf("these faults never happened: %s", strings.Join(never, ", "))
	}
	if least := int(chaosTime().Seconds()) * len(users) / 4; report.Taken < least {
		t.Errorf("%d events arrived, want at least %d", report.Taken, least)
	}
	c.gateway.returnsTo(before)
}

// wantEachCutRepeated wants every push whose answer got lost to be repeated once, unless the device died meanwhile.
func (c *chaos) wantEachCutRepeated(r checker.Report) {
	c.t.Helper()
	last := make(map[[2]string]checker.Push)
	died := make(map[string]bool)
	cut := 0
	for _, p := range c.evidence.pushes {
		if p.Dead {
			died[p.Device] = true
		}
		if p.Taken {
			if p.Cut {
				cut++
			}
			if key := [2]string{p.Device, p.Event}; !p.Time.Before(last[key].Time) {
				last[key] = p
			}
		}
	}
	buried := 0
	for key, p := range last {
		if !p.Cut {
			continue
		}
		buried++
		if !died[p.Device] {
			c.t.Errorf("%s for %s was taken, its answer got lost, and it was not repeated", key[1], key[0])
		}
	}
	c.t.Logf("%d answers were cut off: %d pushes were taken again, and %d were not as their devices died", cut, r.DoubledByCut, buried)
	if cut != r.DoubledByCut+buried {
		c.t.Errorf("%d answers were cut off, %d pushes were taken again and %d were not", cut, r.DoubledByCut, buried)
	}
}
