package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// receivers.md 3 and the newcomer's report P4: status went on to accuse what was fixed.
func TestATroubleEndsWithTheDeliveryThatDisprovesIt(t *testing.T) {
	t.Parallel()
	for name, deliver := range map[string]func(r *rig, pushkey string){
		"a notification": func(r *rig, pushkey string) { r.notify(event("$fixed", device(pushkey))) },
		"a test push": func(r *rig, pushkey string) {
			request, _ := Decode([]byte(event("$test", device(pushkey))), 1)
			if got, err := r.Try(context.Background(), request, Address{}); err != nil || got.Outcome != "delivered" {
				r.t.Errorf("the test push: %+v: %v", got, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("of the operator's service", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					p := newOutage(providers.Misconfigured("invalid_provider_token", nil))
					r := newRig(t, appFor("app", p))
					r.notify(event("$1", device("key")))
					time.Sleep(time.Minute)
					begin := r.attempts()[0]
					if d := r.Degradations(r.Status(t.Context())); len(d) != 1 || !begin.Alarm {
						t.Fatalf("degraded is %+v", d)
					}
					p.fixed.Store(true)
					deliver(r, "other")
					r.Shared.Drain(t.Context())
					status := r.Status(t.Context())
					trouble := status[0].Troubles[0]
					if d := r.Degradations(status); len(d) != 0 || trouble.Alarm || !trouble.Until.Equal(time.Now()) {
						t.Errorf("degraded is %+v, with the trouble %+v", d, trouble)
					}
					time.Sleep(time.Hour)
					p.fixed.Store(false)
					r.notify(event("$2", device("key")))
					r.Shared.Drain(t.Context())
					status = r.Status(t.Context())
					trouble = status[0].Troubles[0]
					if d := r.Degradations(status); len(d) != 1 || !d[0].Since.Equal(time.Now()) || !trouble.Alarm || !trouble.Until.IsZero() ||
						trouble.Count != 2 || !trouble.Since.Equal(time.Now()) || trouble.First.Equal(trouble.Since) {
						t.Errorf("again: degraded is %+v, with the trouble %+v", d, trouble)
					}
				})
			})
			t.Run("of a host that devices chose", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					p := newOutage(providers.Misconfigured("http_403", nil))
					r := newRig(t, appFor("app", byHost{p}))
					for _, pushkey := range []string{"h/1", "h/2", "h/3"} { // before the first delivery
						r.notify(event("$1", device(pushkey)))
					}
					if d := r.Degradations(r.Status(t.Context())); len(d) != 1 || d[0].Reason != "misconfigured" {
						t.Fatalf("degraded is %+v", d)
					}
					p.fixed.Store(true)
					deliver(r, "elsewhere/1")
					if d := r.Degradations(r.Status(t.Context())); len(d) != 1 {
						t.Fatalf("after a delivery elsewhere, degraded is %+v", d)
					}
					deliver(r, "h/4")
					r.Shared.Drain(t.Context())
					status := r.Status(t.Context())
					if d := r.Degradations(status); len(d) != 0 || status[0].Troubles[0].Alarm || status[0].Troubles[0].Until.IsZero() {
						t.Errorf("degraded is %+v, with %+v", d, status[0].Troubles)
					}
				})
			})
			t.Run("that nothing is delivered", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					p := newOutage(providers.Unreachable("dns", nil))
					r := newRig(t, appFor("app", p))
					for i := range 4 {
						r.notify(event("$"+string(rune('a'+i)), device("key")))
						time.Sleep(20 * time.Second)
					}
					if r.Status(t.Context())[0].Failing == nil {
						t.Fatal("it does not fail")
					}
					p.fixed.Store(true)
					deliver(r, "other")
					r.Shared.Drain(t.Context())
					if s := r.Status(t.Context())[0]; s.Failing != nil || s.Troubles[0].Until.IsZero() {
						t.Errorf("it fails since %v, with %+v", s.Failing, s.Troubles)
					}
					if saw := r.saw.seen(); len(saw) != 2 || saw[1] != "app works: app" {
						t.Errorf("the observer saw %q", saw)
					}
				})
			})
		})
	}
}

// A stranger's server refuses a push at the same time. That must not end the alarm.
func TestAStrangersTroubleHidesNoAlarm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, _ := answers(t)
		r := newRig(t, appFor("app", p))
		for _, pushkey := range []string{"h/403/1", "h/403/2", "h/403/3"} {
			r.notify(event("$1", device(pushkey)))
		}
		for _, host := range strings.Split("abcdefg", "") {
			r.notify(event("$2", device(host+"/403/1")))
			r.notify(event("$2", device(host+"/201/1")))
		}
		if d := r.Degradations(r.Status(t.Context())); len(d) != 1 || d[0].Reason != "misconfigured" || d[0].Detail != "http_403" {
			t.Errorf("degraded is %+v %+v", d, r.Status(t.Context())[0].Troubles)
		}
	})
}

func TestATestPushIsEvidenceAboutTheSettingsOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Suspected("not_found"))
		r := newRig(t, appFor("app", byHost{p})).withOutbox()
		r.notify(event("$1", device("h/1")))
		p.fixed.Store(true)
		request, _ := Decode([]byte(event("$test", device("h/1"))), 1)
		if _, err := r.Try(t.Context(), request, Address{}); err != nil {
			t.Fatal(err)
		}
		app := r.Router.Apps()[0]
		k := app.keyOf(&request.Devices[0])
		if r.Shared.isProven(k) || r.Shared.journal.deliveredSince(k, time.Time{}) || app.hosts.tookPush("h") || r.Shared.hasProven(app) {
			t.Error("it makes the device or its host known")
		}
		if r.Shared.suspects.count("app") != 1 || !r.store.records[k].Suspicion.Suspected() || len(r.box.entries) != 1 {
			t.Errorf("it ends a suspicion, or changes the outbox: %+v %+v", r.store.records[k], r.box.entries)
		}
	})
}
