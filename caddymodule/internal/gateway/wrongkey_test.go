package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// anotherKey is the answer to a key that a subscription was not made for.
func anotherKey() providers.Outcome {
	o := providers.Misconfigured("wrong_key", nil)
	o.WrongKey, o.RetryAfter, o.Word = true, time.Hour, "VapidPkHashMismatch"
	return o
}

// keyed is a provider whose key is checked by hosts that begin with fcm.
func keyed() (p *outage) {
	p = newOutage(anotherKey())
	p.become(func(_ context.Context, push *providers.Push) providers.Outcome {
		if p.fixed.Load() || !strings.HasPrefix(push.Device.Pushkey, "fcm") {
			return providers.Delivered()
		}
		return anotherKey()
	})
	return p
}

// alarms returns how many attempts alert the operator.
func (r *rig) alarms() (n int) {
	for _, a := range r.attempts() {
		if a.Alarm {
			n++
		}
	}
	return n
}

// What is known about an app's pushes ends with the process, except which devices were delivered to.
func TestALostKeyCallsTheOperatorWithinThreeSubscriptions(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"at a reload", "at a restart"} {
		t.Run(lost, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := keyed()
				p.fixed.Store(true)
				r := newRig(t, appFor("app", byHost{p})).withOutbox()
				box := &vouching{memoryBox: r.box}
				load := func() {
					r.Options.Outbox = box
					r.Gateway = New(r.Options)
					r.Recall(t.Context())
				}
				load()
				devices := []string{"fcm/0", "fcm/1", "fcm/2"}
				for _, d := range append(devices, "ntfy/1") {
					wantLine(t, r.notify(event("$before", device(d))), `[]`)
				}
				r.Shared.Drain(t.Context())
				if lost == "at a restart" {
					r.Options.Shared = NewShared()
				}
				p.fixed.Store(false)
				load()
				for i, d := range devices {
					if n := r.alarms(); n != 0 {
						t.Errorf("%d alarms after %d subscriptions", n, i)
					}
					wantLine(t, r.notify(event("$lost", device(d))), `[]`)
				}
				if n := r.alarms(); n != 1 {
					t.Fatalf("%d alarms after three", n)
				}
				begins := time.Now()
				time.Sleep(time.Minute)
				wantLine(t, r.notify(event("$elsewhere", device("ntfy/1"))), `[]`) // which takes any key
				s := r.Status(t.Context())
				if w := s[0].WrongKeys; len(w) != 1 || w[0] != (WrongKeys{"fcm", 3, begins, false}) {
					t.Errorf("the status has %+v", w)
				}
				if d := r.Degradations(s); len(d) != 1 || d[0].Reason != "misconfigured" || d[0].Detail != "wrong_key" || d[0].Word != "VapidPkHashMismatch" {
					t.Errorf("degraded is %+v", d)
				}

				p.fixed.Store(true)
				load()
				r.box.entries = nil // as workers retry them, which this outbox does not have
				wantLine(t, r.notify(event("$restored", device("fcm/0"))), `[]`)
				r.Shared.Drain(t.Context())
				s = r.Status(t.Context())
				if d := r.Degradations(s); len(d) != 0 || len(s[0].WrongKeys) != 0 || s[0].Troubles[0].Alarm {
					t.Errorf("restored: degraded is %+v, the status %+v", d, s[0])
				}
				if len(r.store.records) != 0 {
					t.Errorf("on record are %+v", r.store.records)
				}
			})
		})
	}
}

// receivers.md finding 3: with one subscription made for another key, `status --strict` failed.
func TestStrangersKeysCallNobody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		devices int
		host    string
	}{
		{"one at a host that takes others' pushes", 1, "shared"},
		{"many at a host that takes others' pushes", 10, "shared"},
		{"one at their own host", 1, "own"},
		{"many at their own host", 10, "own"},
	} {
		for _, wrongKey := range []bool{true, false} {
			t.Run(fmt.Sprint(tt.name, ", wrong key ", wrongKey), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					o := anotherKey()
					o.WrongKey = wrongKey
					p := &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
						if strings.HasPrefix(p.Device.Pushkey, "shared/good") {
							return providers.Delivered()
						}
						return o
					}}
					r, _ := keeping(t, appFor("app", byHost{p}))
					wantLine(t, r.notify(event("$before", device("shared/good"))), `[]`)
					for i := range tt.devices {
						wantLine(t, r.notify(event("$e", device(fmt.Sprint(tt.host, "/bad", i)))), `[]`)
					}
					s := r.Status(t.Context())
					if d := r.Degradations(s); len(d) != 0 || r.alarms() != 0 {
						t.Errorf("degraded is %+v, with %d alarms", d, r.alarms())
					}
					for _, a := range r.attempts() {
						if a.WrongKeys != 0 || a.Kind() == "misconfigured" {
							t.Errorf("reported is %s, with %d keys", a.Kind(), a.WrongKeys)
						}
					}
					if got := len(s[0].WrongKeys) == 1 && s[0].WrongKeys[0].Devices == tt.devices; got != wrongKey {
						t.Errorf("the status has %+v", s[0].WrongKeys)
					}
				})
			})
		}
	}
}

func TestAnotherKeyIsTriedOnceAnHourAndFoundAgainAtOnceWhenItIsRestored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := keyed()
		p.fixed.Store(true)
		r, stop := keeping(t, appFor("app", byHost{p}))
		r.Jitter = func(d time.Duration) time.Duration { return d - 1 }
		wantLine(t, r.notify(event("$before", device("fcm/known"))), `[]`)
		p.fixed.Store(false)
		wantLine(t, r.notify(event("$e", device("fcm/known"), device("fcm/new"))), `[]`)
		time.Sleep(5*time.Hour + 30*time.Minute)
		var at []time.Time
		for _, push := range p.asked()[1:] {
			if push.Device.Pushkey == "fcm/known" {
				at = append(at, p.began(push))
			}
		}
		for i := range at[1:] {
			if d := at[i+1].Sub(at[i]); d < time.Hour || d > time.Hour+maxBackoff {
				t.Errorf("tried again after %s", d)
			}
		}
		if len(at) < 5 {
			t.Errorf("tried %d times in five hours", len(at))
		}

		p.fixed.Store(true)
		n := len(p.asked())
		r.Retire()
		stop()
		synctest.Wait() // the attempts under way have the app, which the reload has a second time
		old := r.Gateway
		r.Gateway = New(r.Options)
		r.Recall(t.Context())
		r.works()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := len(p.asked()) - n; got != 2 || old == r.Gateway {
			t.Errorf("%d of 2 pending pushes went out when the key was restored", got)
		}
	})
}

func TestAnotherKeyOfAStrangerIsGivenUpAfterTenRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := keyed()
		r, _ := keeping(t, appFor("app", byHost{p}))
		r.Jitter = jittered
		wantLine(t, r.notify(event("$before", device("ntfy/known"))), `[]`)
		wantLine(t, r.notify(event("$e", device("fcm/new"))), `[]`)
		time.Sleep(23 * time.Hour)
		synctest.Wait()
		if n := asked(p.scripted, "fcm"); n != maxRefusals {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestWithoutAnOutboxAnotherKeyIsForInAnHour(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("app", byHost{always(anotherKey())}))
		wantLine(t, r.notify(event("$e", device("fcm/1"))), `503 after 1h0m0s`)
	})
}

// One line a minute for each host shows how many there are by then.
func TestAnotherKeyIsReportedOnceAMinuteForEachHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("app", byHost{always(anotherKey())}))
		for i := range 10 {
			r.notify(event("$e", device(fmt.Sprint("fcm/", i)), device(fmt.Sprint("mozilla/", i))))
			time.Sleep(20 * time.Second)
		}
		reported := map[string][]int{}
		for _, a := range r.attempts() {
			if a.WrongKeys > 0 {
				reported[a.Host] = append(reported[a.Host], a.WrongKeys)
			}
		}
		for _, host := range []string{"fcm", "mozilla"} {
			if got := reported[host]; !slices.Equal(got, []int{1, 4, 7, 10}) {
				t.Errorf("reported for %s are %v", host, got)
			}
		}
	})
}

func TestADeviceWithAnotherKeyIsExplained(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := keyed()
		r := newRig(t, appFor("app", byHost{p}))
		explain := func() Explanation {
			e, err := r.Explain(t.Context(), rejected.KeyOf("app", "fcm/1"), Described{AppID: "app"})
			if err != nil || e.Last == nil {
				t.Fatalf("explained is %+v, %v", e, err)
			}
			return e
		}
		r.notify(event("$1", device("fcm/1")))
		if n := len(r.Status(t.Context())[0].WrongKeys); n != 1 {
			t.Errorf("the status has %d hosts", n)
		}
		if e := explain(); e.Note != noteWrongKey || e.Last.Reason != "wrong_key" || e.Last.Word != "VapidPkHashMismatch" || e.Record != nil {
			t.Errorf("explained is %+v", e)
		}
		p.fixed.Store(true)
		r.notify(event("$2", device("fcm/1")))
		r.Shared.Drain(t.Context())
		if e := explain(); e.Note != "" {
			t.Errorf("the note is still %q", e.Note)
		}
		if n := len(r.Status(t.Context())[0].WrongKeys); n != 0 {
			t.Errorf("the device took a push, and the status has it still")
		}
	})
}

// About 2 % of the subscriptions at fcm.googleapis.com permanently have another key
// (https://github.com/web-push-libs/web-push/issues/457).
func TestStaleSubscriptionsAtAHostThatTakesTheKeyAreCountedAndReportedOnceAnHour(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := keyed()
		p.fixed.Store(true)
		r := newRig(t, appFor("app", byHost{p}))
		for _, d := range []string{"fcm/fresh", "fcm/1", "fcm/2"} {
			r.notify(event("$before", device(d)))
		}
		r.Shared.Drain(t.Context())
		begins := time.Now()
		for i := range 4 {
			p.fixed.Store(false)
			r.notify(event(fmt.Sprint("$stale", i), device("fcm/1"), device("fcm/2")))
			p.fixed.Store(true)
			r.notify(event(fmt.Sprint("$fresh", i), device("fcm/fresh")))
			time.Sleep(20 * time.Minute)
		}
		reported := 0
		for _, a := range r.attempts() {
			if a.WrongKeys > 0 {
				reported++
			}
		}
		if w := r.Status(t.Context())[0].WrongKeys; len(w) != 1 || w[0] != (WrongKeys{"fcm", 2, begins, true}) {
			t.Errorf("the status has %+v", w)
		}
		if reported != 2 || r.alarms() != 0 {
			t.Errorf("reported %d times in an hour and twenty minutes, with %d alarms", reported, r.alarms())
		}
		r.notify(event("$again", device("fcm/1"))) // its client subscribed again
		r.Shared.Drain(t.Context())
		if w := r.Status(t.Context())[0].WrongKeys; len(w) != 1 || w[0].Devices != 1 {
			t.Errorf("then the status has %+v", w)
		}
	})
}

func TestWrongKeysAreBoundedAndStrangersDisplaceNobody(t *testing.T) {
	t.Parallel()
	h, now := newHosts(), time.Now()
	refuse := func(host, device string, s outbox.Standing, load int64) {
		var a attempt
		k := rejected.KeyOf("app", device)
		h.begin(&a, host, k, s, now)
		h.end(&a, verdict{key: k, outcome: anotherKey(), load: load, standing: s, delivered: true}, now)
	}
	refuse("fcm", "known", outbox.Proven, 7)
	for i := range 3 * maxWrongHosts {
		refuse(fmt.Sprint("host", i), "stranger", outbox.Stranger, 7)
	}
	for i := range 2 * maxWrongDevices {
		refuse("big", fmt.Sprint(i), outbox.Stranger, 7)
	}
	list := h.wrongKeys(7)
	if len(list) != maxWrongShown || list[0].Host != "fcm" || list[1] != (WrongKeys{"big", maxWrongDevices, now, false}) || len(h.wrong.hosts) != maxWrongHosts {
		t.Errorf("%d hosts are kept, and shown are %+v", len(h.wrong.hosts), list)
	}
	refuse("late", "known", outbox.Proven, 6) // an attempt of the configuration before
	if h.wrong.hosts["late"] != nil || len(h.wrongKeys(8)) != 0 {
		t.Error("another configuration's are counted")
	}
	refuse("fcm", "known", outbox.Proven, 8)
	if got := h.wrongKeys(8); len(got) != 1 || got[0].Devices != 1 {
		t.Errorf("the next configuration has %+v", got)
	}
	for i := range maxWrongHosts {
		refuse(fmt.Sprint("known", i), "known", outbox.Proven, 8)
	}
	refuse("host", "stranger", outbox.Stranger, 8)
	if h.wrong.hosts["host"] != nil || len(h.wrong.hosts) != maxWrongHosts {
		t.Error("a stranger's host has displaced one that matters")
	}
}
