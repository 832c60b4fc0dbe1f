package gateway

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// generous is a provider that takes a second for each push, and learns from the first answer how many pushes its service takes.
type generous struct {
	*scripted
	takes             int64
	known             atomic.Int64
	running, most     atomic.Int64
	concurrencyMethod func()
}

func newGenerous(takes int64) *generous {
	p := &generous{takes: takes}
	p.scripted = &scripted{script: func(context.Context, *providers.Push) providers.Outcome {
		p.most.Store(max(p.most.Load(), p.running.Add(1)))
		time.Sleep(time.Second)
		p.running.Add(-1)
		p.known.Store(p.takes)
		return providers.Delivered()
	}}
	return p
}

func (p *generous) Concurrency() int {
	if p.concurrencyMethod != nil {
		p.concurrencyMethod()
	}
	return int(p.known.Load())
}

// pushed sends n pushes at once, and returns how many were answered with 200, and how long that took.
func (r *rig) pushed(round string, n int) (delivered int64, took time.Duration) {
	var all sync.WaitGroup
	var ok atomic.Int64
	began := time.Now()
	for i := range n {
		all.Go(func() {
			if r.notify(event(fmt.Sprint("$", round, i), device(fmt.Sprint(round, i)))) == `[]` {
				ok.Add(1)
			}
		})
	}
	all.Wait()
	return ok.Load(), time.Since(began)
}

func TestABurstIsSentAtOnceIfThePushServiceTakesIt(t *testing.T) {
	for name, test := range map[string]struct {
		elastic     bool
		takes, most int64
		cold, warm  time.Duration
	}{
		"the service takes all":           {true, 1000, 32, 2 * time.Second, time.Second},
		"the service takes some more":     {true, 16, 16, 3 * time.Second, 2 * time.Second},
		"the service takes less":          {true, 1, 8, 4 * time.Second, 4 * time.Second},
		"the operator set a concurrency":  {false, 1000, 8, 4 * time.Second, 4 * time.Second},
		"the provider's method is broken": {true, -1, 8, 4 * time.Second, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newGenerous(test.takes)
				if test.takes < 0 {
					p.concurrencyMethod = func() { panic("broken") }
				}
				app := appFor("app", p)
				app.Limit, app.Elastic = limit.NewFair(8, 24), test.elastic
				r := newRig(t, app)
				if ok, took := r.pushed("cold", 32); ok != 32 || took != test.cold {
					t.Errorf("cold: %d were delivered in %s, want 32 in %s", ok, took, test.cold)
				}
				if ok, took := r.pushed("warm", 32); ok != 32 || took != test.warm {
					t.Errorf("warm: %d were delivered in %s, want 32 in %s", ok, took, test.warm)
				}
				if ok, _ := r.pushed("too many", 40); ok != 32 {
					t.Errorf("of 40, %d were delivered, want 32", ok)
				}
				if n := p.most.Load(); n != test.most {
					t.Errorf("%d were in progress at the same time, want %d", n, test.most)
				}
				if n := app.workers(); n != 4 {
					t.Errorf("%d may come from the outbox", n)
				}
			})
		})
	}
}

func TestAProviderWhoseConcurrencyDoesNotReturnHoldsUpNoOtherPush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newGenerous(1000)
		released := make(chan struct{})
		var asked atomic.Int64
		p.concurrencyMethod = func() {
			if asked.Add(1) == 1 {
				<-released
			}
		}
		app := appFor("app", p)
		app.Limit, app.Elastic = limit.NewFair(8, 24), true
		r := newRig(t, app)
		go r.notify(event("$hangs", device("hangs")))
		synctest.Wait()
		if ok, _ := r.pushed("others", 31); ok != 31 {
			t.Errorf("%d were delivered", ok)
		}
		r.Shared.Drain(t.Context()) // the attempt has an outcome
		close(released)
		time.Sleep(2 * time.Second)
	})
}
