package gateway

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// Each configuration has its own workers, but the breaker belongs to the process.
func TestAReloadWhileABreakerIsOpenGoesOnWithTrials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Unreachable("network", nil))
		r, stop := keeping(t, appFor("app", byHost{p}))
		for i := range 40 {
			r.notify(event("$e", device(fmt.Sprint("host/", i))))
		}
		synctest.Wait()
		time.Sleep(35 * time.Second)
		synctest.Wait()
		router, _ := NewRouter([]*App{appFor("app", byHost{p})})
		old := r.Gateway
		r.Options.Router, r.Options.Outbox = router, old.box.Box
		r.Gateway = New(r.Options)
		r.Recall(t.Context())
		r.works()
		stop()
		old.Retire()
		time.Sleep(time.Second)
		synctest.Wait()
		n := len(p.asked())
		p.fixed.Store(true)
		start := time.Now()
		for len(p.asked()) == n && time.Since(start) < 20*time.Minute {
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took > breakerPause+time.Second {
			t.Errorf("the first attempt comes %s after the service is back", took)
		}
	})
}

func TestATrialWaitsForNoDeviceWhosePushIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, known := range []bool{false, true} {
			for down := 11 * time.Second; down < 60*time.Second; down += 12 * time.Second {
				p := newHanging(everyPush)
				r, stop := keeping(t, appFor("app", byHost{p}))
				r.Router.Apps()[0].Wait = 0
				p.recovered.Store(true)
				if known {
					r.notify(event("$known", device("host/known"), device("host/opens")))
					for i := range 30 {
						r.notify(event("$known", device(fmt.Sprint("host/", i))))
					}
				}
				time.Sleep(2 * breakerWindow)
				synctest.Wait()
				p.recovered.Store(false)
				p.first.Store(nil)
				r.notify(event("$known2", device("host/known")))
				for i := range 30 {
					r.notify(event(fmt.Sprint("$", i), device(fmt.Sprint("host/", i))))
				}
				at := time.Now()
				time.Sleep(10 * time.Second)
				r.notify(event("$opens", device("host/opens")))
				time.Sleep(down - time.Since(at))
				p.recovered.Store(true)
				rec := time.Now()
				for p.first.Load() == nil {
					time.Sleep(100 * time.Millisecond)
				}
				if took := p.first.Load().Sub(rec); took > 15*time.Second {
					t.Errorf("known %v, down for %s: the first delivery came %s after the recovery", known, down, took)
				}
				time.Sleep(10 * time.Minute)
				stop()
				synctest.Wait()
			}
		}
	})
}

func TestAnOutageIsSeenAsFailing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Unreachable("network", nil))
		r, _ := keeping(t, appFor("app", p))
		for i := range 600 {
			r.notify(event(fmt.Sprint("$", i), device(fmt.Sprint("key", i))))
			time.Sleep(time.Second)
			if f := r.Status(t.Context())[0].Failing; f != nil {
				if i < 20 || i > 90 {
					t.Errorf("it is seen after %d s", i)
				}
				return
			}
		}
		t.Errorf("ten minutes of outage, and it does not fail: %d attempts", len(p.asked()))
	})
}

func TestAHostThatWasForgottenWithAttemptsUnderWayIsStillOneHost(t *testing.T) {
	h, now := newHosts(), time.Now()
	var a1, a2 [breakerMin]attempt
	for i := range a1 {
		h.begin(&a1[i], "real", rejected.Key{}, outbox.Proven, now)
	}
	for i := range maxStrange {
		h.attemptAt(fmt.Sprint("made-up", i), "k", providers.Unreachable("dns", nil), now)
	}
	for i := range a2 {
		h.begin(&a2[i], "real", rejected.Key{}, outbox.Proven, now)
	}
	opens := 0
	for i := range a1 {
		if h.end(&a1[i], verdict{standing: outbox.Proven, outcome: providers.Unreachable("timeout", nil)}, now) == opened {
			opens++
		}
	}
	for i := range a2 {
		if h.end(&a2[i], verdict{standing: outbox.Proven, outcome: providers.Unreachable("timeout", nil)}, now) == opened {
			opens++
		}
	}
	now = now.Add(time.Minute)
	for range 100 {
		h.attemptAt("real", "k", providers.Delivered(), now)
	}
	if opens != 1 || h.isOpen("real") {
		t.Errorf("opened %d times; after 100 deliveries it is open: %v, admit says %+v", opens, h.isOpen("real"), h.admit("real", applicant{standing: outbox.Proven}, now))
	}
}

// The trial's answer is that a pushkey is dead, while fifty earlier attempts hang.
func TestATrialThatIsAnsweredClosesTheBreakerForGood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts()
		start := time.Now()
		var hung [50]attempt
		for i := range hung {
			h.begin(&hung[i], "", rejected.Key{}, outbox.Proven, start)
		}
		now := start.Add(11 * time.Second)
		if h.admit("", applicant{standing: outbox.Proven}, now).change != opened {
			t.Fatal("it is not open")
		}
		now = now.Add(breakerPause)
		d := h.admit("", applicant{standing: outbox.Proven}, now)
		a := attempt{trial: d.trial}
		h.begin(&a, "", rejected.Key{}, outbox.Proven, now)
		c := h.end(&a, verdict{standing: outbox.Proven, outcome: providers.Rejected("unregistered")}, now.Add(100*time.Millisecond))
		d = h.admit("", applicant{standing: outbox.Proven}, now.Add(200*time.Millisecond))
		if c != closed || d.change != unchanged {
			t.Errorf("the trial does %d, and what comes after it does %d", c, d.change)
		}
	})
}

func TestWhatWasRefusedBeforeAReloadDoesNotAlarmAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
			if p.Device.Pushkey[:3] == "h/o" {
				return providers.Misconfigured("http_403", nil)
			}
			return providers.Delivered()
		}}
		r := newRig(t, appFor("app", byHost{p}))
		r.notify(event("$1", device("h/fine")))
		for i := range 3 {
			r.notify(event("$1", device(fmt.Sprint("h/o", i))))
		}
		for _, a := range r.attempts() {
			if a.Alarm {
				t.Error("alarm before")
			}
		}
		r.Gateway = New(r.Options) // a reload with the same key
		n := len(r.attempts())
		r.notify(event("$2", device("h/o1")))
		for _, a := range r.attempts()[n:] {
			if a.Alarm {
				t.Error("one device was refused since the load, and the operator is alerted")
			}
		}
	})
}

// One pushkey that names another host each time.
func TestAFuseKeepsNoHostWithoutPushkeys(t *testing.T) {
	f := newFuse(maxFuseKeys)
	now := time.Now()
	for i := range 1000 {
		f.note(noted{key: rejected.Key{1}, host: fmt.Sprint("host", i)}, FuseOptions{Share: .5, Window: time.Hour}, now)
	}
	if n := len(f.young.strange.hosts); n != 1 {
		t.Errorf("%d hosts of one pushkey are kept", n)
	}
}

func TestWaitingForATurnIsNotTheHostsFault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &scripted{script: func(ctx context.Context, p *providers.Push) providers.Outcome {
			d := time.Second // good: takes a second
			if p.Device.Pushkey[:3] == "bad" {
				d = time.Hour
			}
			select {
			case <-ctx.Done():
				return providers.Unreachable("timeout", ctx.Err())
			case <-time.After(d):
				return providers.Delivered()
			}
		}}
		app := appFor("app", byHost{p})
		app.Limit = limit.NewFair(20, 20)
		r := newRig(t, app)
		for i := range 20 {
			go r.notify(event("$e", device(fmt.Sprintf("bad%d/1", i))))
		}
		time.Sleep(200 * time.Millisecond)
		for i := range 20 {
			go r.notify(event("$e", device(fmt.Sprint("good/", i))))
		}
		time.Sleep(time.Minute)
		if len(r.saw.seen()) > 0 {
			t.Errorf("%q", r.saw.seen())
		}
	})
}

// The ones known to be alive are forgotten, and the rest exceed the share.
func TestAFuseThatTripsByTheAgeOfOthersIsReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := fused(t, appFor("app", always(providers.Delivered())))
		r.notifyEach("app", 0, 100)
		time.Sleep(5 * time.Minute)
		r.notifyEach("ap", 0, 30) // rejected, a few among many
		time.Sleep(5 * time.Minute)
		r.notifyEach("app", 200, 201)
		s := r.Shared.Fuses.of(unknownApps).status(unknownApps)
		if s.Tripped == nil || len(r.saw.seen()) == 0 {
			t.Errorf("tripped: %v, reported: %q", s.Tripped, r.saw.seen())
		}
	})
}

func TestMadeUpHostsThatTripTheirBreakersEvictNoneThatIsReal(t *testing.T) {
	h, now := newHosts(), time.Now()
	for i := range 1000 {
		h.attemptAt(fmt.Sprint("real", i), "key", providers.Delivered(), now)
	}
	for i := range maxKnown {
		for range breakerMin {
			h.attemptAt(fmt.Sprint("made-up", i), "key", providers.Unreachable("dns", nil), now)
		}
	}
	gone := 0
	for i := range 1000 {
		if h.find(fmt.Sprint("real", i)) == nil {
			gone++
		}
	}
	due, _ := h.offers(now.Add(time.Minute))
	if gone > 0 || len(due) > maxDown {
		t.Errorf("%d real hosts are forgotten, and %d hosts want a trial", gone, len(due))
	}
}

func TestBeingTurnedAwayIsNotATry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := keeping(t, appFor("app", byHost{always(providers.Unreachable("network", nil))}))
		for i := range 2 * breakerMin {
			r.notify(event("$e", device(fmt.Sprint("host/", i))))
		}
		synctest.Wait()
		attempts := func() (all []int) {
			page, _, err := r.Gateway.box.inspector.List(t.Context(), "app", "", 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range page {
				all = append(all, entry.Attempts)
			}
			return all
		}
		before := attempts()
		for range 3 { // an operator, or another gateway
			r.Gateway.box.rouseHost(r.Router.Apps()[0], "host", 0)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if after := attempts(); len(after) != 2*breakerMin || !slices.Equal(after, before) {
			t.Errorf("tries were %v, and are %v", before, after)
		}
	})
}
