package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// fused is a rig with a fuse.
func fused(t *testing.T, apps ...*App) *rig {
	t.Helper()
	r := newRig(t, apps...)
	r.Fuse = FuseOptions{Share: 0.5, Window: 10 * time.Minute}
	return r
}

// notifyEach notifies pushkeys from i to j of an app of one event, and returns how many were answered with what.
func (r *rig) notifyEach(appID string, i, j int) (answers map[string]int) {
	r.t.Helper()
	answers = make(map[string]int)
	for ; i < j; i++ {
		answer := r.notify(event("$e", deviceOf(appID, fmt.Sprint("key", i), 1000)))
		if strings.Contains(answer, "key") {
			answer = "rejected"
		}
		answers[answer]++
	}
	return answers
}

func TestTheFuseBlowsWhenTooManyPushkeysDieAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Rejected("device_token_not_for_topic"))
		r := fused(t, appFor("app", p), appFor("other", always(providers.Rejected("gone"))))
		got := r.notifyEach("app", 0, 50)
		if got["rejected"] != fuseMin-1 || got["503 after 1m0s"] != 50-fuseMin+1 {
			t.Errorf("answered %v", got)
		}
		synctest.Wait()
		if n := len(r.store.records); n != 0 {
			t.Errorf("%d records are left", n)
		}
		if got := r.notifyEach("other", 0, 5); got["rejected"] != 5 {
			t.Errorf("another app is answered %v", got)
		}
		if want := []string{`fuse of "app" trips at 20`}; !slices.Equal(r.saw.seen(), want) {
			t.Errorf("the observer saw %q", r.saw.seen())
		}
	})
}

// Otherwise, a verdict from the next request could be overwritten by this older one.
func TestADeliveryCountsForTheFuseBeforeTheRequestIsAnswered(t *testing.T) {
	t.Parallel()
	r := fused(t, appFor("app", always(providers.Delivered())))
	for i := range 3000 {
		r.notifyEach("app", i, i+1)
		if got := r.Shared.Fuses.of("app").status("app").Pushkeys; got != i+1 {
			t.Fatalf("%d pushkeys count after %d answers", got, i+1)
		}
	}
}

func TestTheFuseHoldsWhileMostPushkeysLive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
			if strings.HasSuffix(p.Device.Pushkey, "1") || strings.HasSuffix(p.Device.Pushkey, "3") {
				return providers.Rejected("gone")
			}
			return providers.Delivered()
		}}
		r := fused(t, appFor("app", p))
		if got := r.notifyEach("app", 0, 500); got["rejected"] != 100 || got["[]"] != 400 {
			t.Errorf("answered %v", got)
		}
	})
}

func TestTheFuseForgetsWhatIsOld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := fused(t, appFor("app", always(providers.Rejected("gone"))))
		for i := range 100 {
			if got := r.notifyEach("app", i, i+1); got["rejected"] != 1 {
				t.Fatalf("number %d is answered %v", i, got)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestAPushkeyCountsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := fused(t, appFor("app", always(providers.Rejected("gone"))))
		for i := range 3 * fuseMin { // it registered again each time
			wantLine(t, r.notify(event(fmt.Sprint("$", i), deviceOf("app", "key", int64(1000+i)))), `["key"]`)
		}
	})
}

func TestWhatAFuseHeldIsDeliveredWhenTheSettingsAreRight(t *testing.T) {
	t.Parallel()
	for name, mend := range map[string]func(*rig){
		"and the operator resets it": func(r *rig) {
			if was, ok := r.ResetFuse("app"); !was || !ok {
				t.Errorf("it was tripped: %v, there is one: %v", was, ok)
			}
		},
		"by itself": func(*rig) {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newOutage(providers.Rejected("device_token_not_for_topic"))
				r := fused(t, appFor("app", p))
				r.use(openFile(t, t.TempDir()+"/outbox.db"))
				r.Jitter = func(time.Duration) time.Duration { return time.Second }
				r.works()
				if got := r.notifyEach("app", 0, 100); got["rejected"] != fuseMin-1 || got["[]"] != 100-fuseMin+1 {
					t.Errorf("answered %v", got)
				}
				if status := r.Fuses()[1]; status.Tripped == nil || status.Dead != 100 || status.Pushkeys != 100 || status.App != "app" {
					t.Errorf("the status is %+v", status)
				}
				synctest.Wait()
				before := len(p.asked())
				p.fixed.Store(true)
				mend(r)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				wantPushes(t, p.scripted, before+100-fuseMin+1)
				if status := r.Fuses()[1]; status.Tripped != nil {
					t.Errorf("the status is %+v", status)
				}
				if n := len(r.store.records); n != 0 {
					t.Errorf("%d records are left", n)
				}
			})
		})
	}
}

// An attempt that began before the operator fixed something shows nothing about the state now.
func TestAVerdictOfBeforeTheResetIsNotBelieved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := &scripted{}
		slow.script = func(context.Context, *providers.Push) providers.Outcome {
			if len(slow.asked()) > 1 {
				return providers.Delivered()
			}
			time.Sleep(4 * time.Second)
			return providers.Rejected("device_token_not_for_topic")
		}
		r := fused(t, appFor("app", slow))
		r.use(openFile(t, t.TempDir()+"/outbox.db"))
		r.Jitter = func(time.Duration) time.Duration { return time.Second }
		r.works()
		answer := make(chan string)
		go func() { answer <- r.notify(event("$e", device("key"))) }()
		time.Sleep(2 * time.Second)
		r.ResetFuse("app")
		wantLine(t, <-answer, `[]`)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantPushes(t, slow, 2)
		if n := len(r.store.records); n != 0 {
			t.Errorf("%d records", n)
		}
	})
}

func TestNoneIsRecordedBesideThoseThatAreWithdrawn(t *testing.T) {
	t.Parallel()
	r := fused(t, appFor("app", always(providers.Rejected("device_token_not_for_topic"))))
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() { r.notify(event("$e", device(fmt.Sprint("key", i)))) })
	}
	group.Wait()
	r.Shared.Drain(t.Context())
	if n := len(r.store.records); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

func TestTooManyUnknownAppsTripTheFuse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Delivered())
		r := fused(t, appFor("app", p))
		if got := r.notifyEach("ap", 0, 50); got["rejected"] != fuseMin-1 || got["503 after 1m0s"] != 50-fuseMin+1 {
			t.Errorf("answered %v", got)
		}
		if got := r.notifyEach("app", 0, 200); got["[]"] != 200 {
			t.Errorf("the app that is configured is answered %v", got)
		}
		time.Sleep(time.Minute)                                      // the shortest duration of a trip
		if got := r.notifyEach("ap", 0, 50); got["rejected"] != 50 { // a few among many
			t.Errorf("answered %v", got)
		}
		if want := []string{`fuse of "" trips at 20`, `fuse of "" reset`}; !slices.Equal(r.saw.seen(), want) {
			t.Errorf("the observer saw %q", r.saw.seen())
		}
	})
}

func TestAFuseThatIsOffHoldsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("app", always(providers.Rejected("gone"))))
		for _, appID := range []string{"app", "unknown"} {
			if got := r.notifyEach(appID, 0, 100); got["rejected"] != 100 {
				t.Errorf("%s is answered %v", appID, got)
			}
		}
	})
}
