package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// bucket is a push server that limits the gateway's address as ntfy does: a number of pushes at once, and one more per refill,
// https://docs.ntfy.sh/config/#rate-limiting.
type bucket struct {
	*scripted
	size   int
	refill time.Duration

	mu      sync.Mutex
	left    float64
	at      time.Time
	refused []time.Time
	took    []string // pushkey and event, in order
}

func newBucket(size int, refill time.Duration, after time.Duration) *bucket {
	b := &bucket{size: size, refill: refill, left: float64(size), at: time.Now()}
	b.scripted = &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
		b.mu.Lock()
		defer b.mu.Unlock()
		now := time.Now()
		b.left, b.at = min(float64(b.size), b.left+now.Sub(b.at).Seconds()/b.refill.Seconds()), now
		if b.left < 1 {
			b.refused = append(b.refused, now)
			return throttling(after)
		}
		b.left--
		b.took = append(b.took, p.Device.Pushkey+" "+p.Notification.EventID)
		return providers.Delivered()
	}}
	return b
}

// throttling is the outcome of a 429.
func throttling(after time.Duration) providers.Outcome {
	o := providers.Limited("rate_limited", after, nil)
	o.Throttled = true
	return o
}

// refusedSince returns how many pushes were refused after a time.
func (b *bucket) refusedSince(t time.Time) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, at := range b.refused {
		if at.After(t) {
			n++
		}
	}
	return n
}

// receivers.md finding 6: of 80 pushes at once, ntfy takes 60. The rest cost 43 more answers of 429 in 105 s.
func TestAHostThatLimitsTheGatewayIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"known", "new"} {
		t.Run(who, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBucket(60, 5*time.Second, 0)
				r, _ := keeping(t, appFor("app", byHost{b}))
				var seed atomic.Int64
				r.Jitter = func(d time.Duration) time.Duration { // spread
					return d * time.Duration(seed.Add(1)*7919%1000) / 1000
				}
				var devices []string
				for i := range 80 {
					devices = append(devices, device(fmt.Sprint("ntfy/", i)))
				}
				if who == "known" {
					for _, d := range devices {
						r.notify(event("$before", d))
						time.Sleep(5 * time.Second)
					}
					time.Sleep(10 * time.Minute)
				}
				for _, d := range devices {
					go r.notify(event("$e", d))
				}
				time.Sleep(time.Second)
				burst := time.Now()
				time.Sleep(2 * time.Minute)
				n := b.refusedSince(burst)
				t.Logf("%d answers of 429 in two minutes after the burst", n)
				if n > 10 {
					t.Errorf("%d answers of 429 in two minutes after the burst, and there were 43 before", n)
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				delivered := slices.DeleteFunc(slices.Clone(b.took), func(push string) bool { return !strings.HasSuffix(push, "$e") })
				if slices.Sort(delivered); len(slices.Compact(delivered)) != 80 || len(delivered) != 80 {
					t.Errorf("%d pushes of 80 were delivered", len(delivered))
				}
			})
		})
	}
}

func TestNothingIsSentInAPauseAndNothingIsLost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		asked    time.Duration
		min, max time.Duration
	}{
		{"it did not say for how long", 0, time.Minute, 2 * time.Minute},
		{"as long as it asked", 4 * time.Minute, 4 * time.Minute, 5 * time.Minute},
		{"ten minutes at most", time.Hour, 10 * time.Minute, 11 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newOutage(throttling(0))
				longest := throttling(tt.asked)
				r, _ := keeping(t, appFor("app", byHost{p}))
				r.Jitter = jittered
				for i := range 5 {
					wantLine(t, r.notify(event("$e", device(fmt.Sprint("h/", i)))), `[]`)
					if i == 0 {
						p.become(func(context.Context, *providers.Push) providers.Outcome {
							if p.fixed.Load() {
								return providers.Delivered()
							}
							return longest
						})
					}
				}
				begins := time.Now()
				wantPushes(t, p.scripted, 3)
				if seen := r.saw.seen(); !slices.Contains(seen, "host paused: app h") {
					t.Errorf("the observer saw %q", seen)
				}
				if n := r.Status(t.Context())[0].PausedHosts; n != 1 {
					t.Errorf("%d hosts pause", n)
				}
				p.fixed.Store(true)
				for i := range 3 { // they join behind the pending ones, or are turned away themselves
					wantLine(t, r.notify(event(fmt.Sprint("$", i), device("h/3"), device("h/9"))), `[]`)
				}
				time.Sleep(tt.min - time.Second)
				wantPushes(t, p.scripted, 3)
				wantLine(t, r.notify(event("$other", device("other/1"))), `[]`)
				wantPushes(t, p.scripted, 4) // of another host
				time.Sleep(10 * time.Second)
				if got := append(p.since(3, "h/3"), p.since(3, "h/9")...); len(got) != 0 {
					t.Errorf("when the pause ends, %q come at once", got)
				}
				time.Sleep(time.Until(begins.Add(tt.max)))
				synctest.Wait()
				if n := r.Status(t.Context())[0].PausedHosts; n != 0 {
					t.Errorf("%d hosts pause when it is over", n)
				}
				if got := p.since(3, "h/3"); !slices.Equal(got, []string{"$e", "$0", "$1", "$2"}) {
					t.Errorf("a device got %q", got)
				}
				if got := p.since(3, "h/9"); !slices.Equal(got, []string{"$0", "$1", "$2"}) {
					t.Errorf("a device that came in the pause got %q", got)
				}
				time.Sleep(2 * time.Hour) // the first three wait as long as the answers asked for, however long the pause is
				synctest.Wait()
				if depths, _, _ := r.depths(t.Context()); len(depths) != 0 {
					t.Errorf("pending are %+v", depths)
				}
			})
		})
	}
}

func TestAnOperatorWhoRetriesEndsThePauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(throttling(10 * time.Minute))
		r, _ := keeping(t, appFor("app", byHost{p}))
		for i := range 4 {
			wantLine(t, r.notify(event("$e", device(fmt.Sprint("h/", i)))), `[]`)
		}
		p.fixed.Store(true) // the operator exempted the gateway's address
		r.Resume("app")
		r.Resume("none")
		if err := r.Outbox.(outbox.Queue).Rouse(t.Context(), "app"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if depths, _, _ := r.depths(t.Context()); len(depths) != 0 || r.Status(t.Context())[0].PausedHosts != 0 {
			t.Errorf("pending are %+v", depths)
		}
	})
}

func TestWithoutAnOutboxAPauseIsAnsweredWithItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(throttling(3 * time.Minute))
		r := newRig(t, appFor("app", byHost{p}))
		for i := range 3 {
			wantLine(t, r.notify(event("$e", device(fmt.Sprint("h/", i)))), `503 after 3m0s`)
		}
		time.Sleep(time.Minute)
		r.sharing(r) // a reload changes nothing
		wantLine(t, r.notify(event("$e", device("h/4"))), `503 after 2m0s`)
		wantPushes(t, p.scripted, 3)
		time.Sleep(2 * time.Minute)
		p.fixed.Store(true)
		wantLine(t, r.notify(event("$e", device("h/4"))), `[]`)
	})
}

func TestWhenAHostPauses(t *testing.T) {
	t.Parallel()
	limited, subscriberless := throttling(0), providers.Limited("no_subscriber", time.Minute, nil)
	type step struct {
		device   string
		standing outbox.Standing
		o        providers.Outcome
		later    time.Duration
	}
	by := func(s outbox.Standing, later time.Duration, o providers.Outcome, devices ...string) (steps []step) {
		for _, d := range devices {
			steps = append(steps, step{d, s, o, later})
		}
		return steps
	}
	delivered := by(outbox.Stranger, time.Second, providers.Delivered(), "good")
	for _, tt := range []struct {
		name, host     string
		steps          []step
		all, newcomers bool
	}{
		{"three strangers at an unknown host", "h", by(outbox.Stranger, time.Second, limited, "a", "b", "c"), true, true},
		{"two of them", "h", by(outbox.Stranger, time.Second, limited, "a", "b", "a", "b"), false, false},
		{"one of them, often", "h", by(outbox.Stranger, time.Second, limited, "a", "a", "a", "a"), false, false},
		{"within more than a minute", "h", by(outbox.Stranger, 31*time.Second, limited, "a", "b", "c"), false, false},
		{"507 (ntfy has no subscriber)", "h", by(outbox.Stranger, time.Second, subscriberless, "a", "b", "c"), false, false},
		{"a delivery in between", "h", slices.Concat(by(outbox.Proven, time.Second, limited, "a", "b"), delivered, by(outbox.Proven, time.Second, limited, "c")), false, false},
		{"strangers at a host that took pushes", "h", slices.Concat(delivered, by(outbox.Guest, time.Second, limited, "a", "b", "c")), false, true},
		{"those it took pushes for", "h", slices.Concat(delivered, by(outbox.Proven, time.Second, limited, "a", "b", "c")), true, true},
		{"one of them and two strangers", "h", slices.Concat(delivered, by(outbox.Guest, time.Second, limited, "a", "b"), by(outbox.Proven, time.Second, limited, "c")), false, true},
		{"the app's only service", "", by(outbox.Proven, time.Second, limited, "a", "b", "c"), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, now := newHosts(), time.Now()
			for _, s := range tt.steps {
				now = now.Add(s.later)
				var a attempt
				k := rejected.KeyOf("app", s.device)
				h.begin(&a, tt.host, k, s.standing, now)
				h.end(&a, verdict{key: k, outcome: s.o, standing: s.standing}, now)
			}
			for standing, want := range map[outbox.Standing]bool{outbox.Proven: tt.all, outbox.Guest: tt.newcomers} {
				if d := h.admit(tt.host, applicant{standing: standing}, now); d.turnedAway != want || (d.paused > 0) != want {
					t.Errorf("a push that is %s: %+v, want paused %v", standing, d, want)
				}
			}
		})
	}
}

func TestHostsThatPauseAreBounded(t *testing.T) {
	t.Parallel()
	h, now := newHosts(), time.Now()
	for i := range 2 * maxStrange {
		for j := range witnesses {
			var a attempt
			k := rejected.KeyOf("app", fmt.Sprint(j))
			h.begin(&a, fmt.Sprint("host", i), k, outbox.Stranger, now)
			h.end(&a, verdict{key: k, outcome: throttling(time.Hour)}, now)
		}
	}
	if n := len(h.paused); n != maxStrange {
		t.Errorf("%d hosts pause, want %d", n, maxStrange)
	}
	if n := h.pausing(func() time.Time { return now.Add(maxPause) }); n != 0 {
		t.Errorf("%d pause when it is over", n)
	}
}
