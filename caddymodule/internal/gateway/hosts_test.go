package gateway

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// attemptAt makes an attempt at a host, which ends at once.
func (h *hosts) attemptAt(host, pushkey string, o providers.Outcome, now time.Time) change {
	if d := h.admit(host, applicant{standing: outbox.Proven}, now); d.turnedAway || d.change != unchanged {
		return d.change
	}
	var a attempt
	h.begin(&a, host, rejected.KeyOf("app", pushkey), outbox.Proven, now)
	return h.end(&a, verdict{key: rejected.KeyOf("app", pushkey), outcome: o, standing: outbox.Proven}, now)
}

// Not parallel: it measures the process's memory.
func TestMadeUpHostsEvictNoneThatIsRealAndTakeLittleRoom(t *testing.T) {
	now := time.Now()
	h := newHosts()
	for i := range 1000 {
		h.attemptAt(fmt.Sprint("real", i), "key", providers.Delivered(), now)
	}
	for range 2 * breakerMin {
		h.attemptAt("down", "key", providers.Unreachable("network", nil), now)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 100_000 {
		h.attemptAt(fmt.Sprintf("a-host-that-somebody-made-up-%d.example.org:443", i), "key", providers.Unreachable("dns", nil), now)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if took := int64(after.HeapAlloc) - int64(before.HeapAlloc); took > 20<<20 {
		t.Errorf("they take %d MiB", took>>20)
	}
	for i := range 1000 {
		if one := h.find(fmt.Sprint("real", i)); one == nil || one.delivered.IsZero() {
			t.Fatalf("real host %d is forgotten", i)
		}
	}
	if !h.isOpen("down") {
		t.Error("a host that is down is not kept off any more")
	}
	if n := h.tiers[strange].Len() + h.tiers[down].Len() + h.tiers[known].Len(); n > maxStrange+maxDown+maxKnown {
		t.Errorf("%d hosts are kept", n)
	}
	runtime.KeepAlive(h)
}

func TestWhatAHostAnswersOneDeviceIsNotTheHosts(t *testing.T) {
	t.Parallel()
	unavailable := providers.Retry("server_error", 0, nil)
	for _, tt := range []struct {
		name     string
		host     string
		attempts func(attempt func(pushkey string, o providers.Outcome))
		open     bool
	}{
		{"one device's 5xx", "host", func(attempt func(string, providers.Outcome)) {
			for range 100 {
				attempt("a", unavailable)
			}
		}, false},
		{"two devices' 5xx", "host", func(attempt func(string, providers.Outcome)) {
			for range 100 {
				attempt("a", unavailable)
				attempt("b", unavailable)
			}
		}, false},
		{"three devices' 5xx", "host", func(attempt func(string, providers.Outcome)) {
			for range 4 {
				attempt("a", unavailable)
				attempt("b", unavailable)
				attempt("c", unavailable)
			}
		}, true},
		{"three devices' 5xx, while a fourth is delivered to", "host", func(attempt func(string, providers.Outcome)) {
			for range 20 {
				attempt("a", unavailable)
				attempt("b", unavailable)
				attempt("c", unavailable)
				attempt("d", providers.Delivered())
			}
		}, false},
		{"one device's network", "host", func(attempt func(string, providers.Outcome)) {
			for range breakerMin {
				attempt("a", providers.Unreachable("network", nil))
			}
		}, true},
		{"redirects of one path", "host", func(attempt func(string, providers.Outcome)) {
			for range 100 {
				attempt("a", providers.Retry("redirect", 0, nil))
			}
		}, false},
		{"one device's 5xx of the app's own service", "", func(attempt func(string, providers.Outcome)) {
			for range breakerMin {
				attempt("a", unavailable)
			}
		}, true},
		{"bounds of the gateway's", "", func(attempt func(string, providers.Outcome)) {
			for i := range 100 {
				attempt(fmt.Sprint(i), providers.Busy("host_busy", nil))
			}
		}, false},
		{"rate limits", "", func(attempt func(string, providers.Outcome)) {
			for i := range 100 {
				attempt(fmt.Sprint(i), providers.Limited("rate_limited", 0, nil))
			}
		}, false},
		{"404s", "host", func(attempt func(string, providers.Outcome)) {
			for i := range 100 {
				attempt(fmt.Sprint(i), providers.Suspected("not_found"))
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, now := newHosts(), time.Now()
			tt.attempts(func(pushkey string, o providers.Outcome) { h.attemptAt(tt.host, pushkey, o, now) })
			if open := h.isOpen(tt.host); open != tt.open {
				t.Errorf("open: %v, want %v", open, tt.open)
			}
		})
	}
}

func TestVerdictsCountWhenTheyComeAndForHalfAMinute(t *testing.T) {
	t.Parallel()
	h, now := newHosts(), time.Now()
	for range breakerMin - 1 {
		h.attemptAt("", "key", providers.Unreachable("network", nil), now)
	}
	now = now.Add(breakerWindow + bucketTime)
	if c := h.attemptAt("", "key", providers.Unreachable("network", nil), now); c != unchanged || h.isOpen("") {
		t.Error("what is old counts")
	}
	var late [breakerMin]attempt
	for i := range late {
		h.begin(&late[i], "", rejected.Key{}, outbox.Proven, now)
	}
	now = now.Add(29 * time.Second)
	for i := range late { // they began half a minute ago, and fail now
		h.end(&late[i], verdict{standing: outbox.Proven, outcome: providers.Unreachable("timeout", nil)}, now)
	}
	if !h.isOpen("") {
		t.Error("what comes late does not count")
	}
}

func TestATrialIsThePendingPushOfADeviceThatWasDeliveredTo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Unreachable("network", nil))
		p.fixed.Store(true)
		r, _ := keeping(t, appFor("app", byHost{p}))
		wantLine(t, r.notify(event("$known", device("host/known"))), `[]`)
		p.fixed.Store(false)
		for i := range 2 * breakerMin {
			k := rejected.KeyOf("app", fmt.Sprint("host/forgotten", i)) // hosts that took pushes, but not lately here
			r.Shared.proven.add(r.Now(), k)
			wantLine(t, r.notify(event(fmt.Sprint("$", i), device(fmt.Sprint("host/forgotten", i)))), `[]`)
		}
		wantLine(t, r.notify(event("$again", device("host/known"))), `[]`)
		synctest.Wait()
		before := len(p.asked())
		time.Sleep(breakerPause + time.Second)
		synctest.Wait()
		if got := p.asked()[before:]; len(got) != 1 || got[0].Device.Pushkey != "host/known" {
			t.Errorf("%d trials", len(got))
		}
	})
}

func TestWhatIsTurnedAwayIsTriedAsSoonAsTheBreakerCloses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Unreachable("network", nil))
		r, _ := keeping(t, appFor("app", byHost{p}))
		r.Jitter = func(d time.Duration) time.Duration { return d }
		for i := range 100 {
			wantLine(t, r.notify(event("$e", device(fmt.Sprint("host/", i)))), `[]`)
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		p.fixed.Store(true)
		before := len(p.asked())
		time.Sleep(breakerPause + 2*time.Second)
		synctest.Wait()
		wantPushes(t, p.scripted, before+100)
	})
}

func TestWithoutPendingPushesARequestIsTheTrial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newHanging(everyPush)
		r := newRig(t, appFor("app", p)).withOutbox()
		r.use(&inspectedBox{memoryBox: r.box}) // without workers
		for i := range 2 * breakerMin {
			go r.notify(event("$e", device(fmt.Sprint(i))))
		}
		time.Sleep(hungAfter + time.Second)
		wantLine(t, r.notify(event("$opens", device("opens"))), `[]`)
		before := len(p.asked())
		time.Sleep(breakerPause)
		wantLine(t, r.notify(event("$pending", device("pending"))), `[]`)
		wantPushes(t, p.scripted, before) // left to the pending ones
		time.Sleep(breakerPause)
		start := time.Now()
		wantLine(t, r.notify(event("$trial", device("trial"))), `[]`)
		wantPushes(t, p.scripted, before+1)
		if took := time.Since(start); took > trialWait {
			t.Errorf("the request took %s", took)
		}
	})
}

func TestAHostThatRejectsAllOfItsDevicesTripsItsOwnFuse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &scripted{script: byPrefix(map[string]providers.Outcome{"bad": providers.Rejected("gone"), "good": providers.Delivered()})}
		r := fused(t, appFor("app", byHost{p}))
		answers := map[string]int{}
		for i := range 40 {
			answers[r.notify(event("$e", device(fmt.Sprint("bad/", i))))[:3]]++
		}
		synctest.Wait()
		if answers["503"] != 40-fuseMin+1 || r.verdicts() != 0 {
			t.Errorf("answered %v, and %d verdicts are left", answers, r.verdicts())
		}
		if want := []string{`fuse of "appbad" trips at 20`}; !slices.Equal(r.saw.seen(), want) {
			t.Errorf("the observer saw %q", r.saw.seen())
		}
		s := r.Fuses()[1]
		if s.Tripped == nil || len(s.Hosts) != 1 || s.Hosts[0].Host != "bad" || s.Hosts[0].Dead != 40 {
			t.Errorf("the status is %+v", s)
		}
		p.become(byPrefix(map[string]providers.Outcome{"other": providers.Rejected("gone")}))
		wantLine(t, r.notify(event("$e", device("other/1"))), `["other/1"]`) // its answers still count
		if was, _ := r.ResetFuse("app"); !was {
			t.Error("there was nothing to reset")
		}
		p.become(byPrefix(map[string]providers.Outcome{"bad": providers.Rejected("gone")}))
		wantLine(t, r.notify(event("$again", device("bad/1"))), `["bad/1"]`)
	})
}

// receivers.md 3: one device, with a server that answers 403, paged the operator.
func TestWhatAHostRefusesIsTheOperatorsFaultOnlyIfItRefusesSeveral(t *testing.T) {
	bubble(t, func(t *testing.T) {
		refuses := map[string]bool{}
		var mu sync.Mutex
		p := &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
			mu.Lock()
			defer mu.Unlock()
			if refuses[p.Device.Pushkey] {
				return providers.Misconfigured("http_403", nil)
			}
			return providers.Delivered()
		}}
		r := newRig(t, appFor("app", byHost{p}))
		n := 0
		alarms := func(pushkeys ...string) (alarms int) {
			before := len(r.attempts())
			for _, pushkey := range pushkeys {
				n++
				r.notify(event(fmt.Sprint("$", n), device(pushkey)))
			}
			for _, a := range r.attempts()[before:] {
				if a.Alarm {
					alarms++
				}
			}
			return alarms
		}
		refuse := func(pushkeys ...string) {
			mu.Lock()
			defer mu.Unlock()
			for _, pushkey := range pushkeys {
				refuses[pushkey] = true
			}
		}
		refuse("h/1", "h/2", "h/3", "h/4", "k/1")
		for _, tt := range []struct {
			name     string
			pushkeys []string
			want     int
		}{
			{"one device, again and again", []string{"h/1", "h/1", "h/1", "h/1"}, 0},
			{"one at another host", []string{"k/1"}, 0},
			{"a third one", []string{"h/2", "h/3"}, 1},
			{"from then on", []string{"h/1"}, 1},
			{"after one was delivered to", []string{"h/fine", "h/1", "h/2", "h/3", "h/4"}, 0},
		} {
			if got := alarms(tt.pushkeys...); got != tt.want {
				t.Errorf("%s: %d alarms, want %d", tt.name, got, tt.want)
			}
		}
		alarms("h/fine2", "h/fine3", "h/fine4")
		r.Gateway = New(r.Options) // a reload, with another key
		refuse("h/fine", "h/fine2", "h/fine3", "h/fine4")
		if got := alarms("h/1", "h/2", "h/3", "h/4"); got != 0 {
			t.Errorf("devices that were never delivered to: %d alarms", got)
		}
		if got := alarms("h/fine", "h/fine2", "h/fine3", "h/fine4"); got != 2 {
			t.Errorf("after a reload that lost the key: %d alarms", got)
		}
	})
}
