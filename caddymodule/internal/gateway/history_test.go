package gateway

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// sums returns an app's pushes of the last hour by outcome.
func (r *rig) sums(pattern string) map[string]int {
	r.t.Helper()
	for _, app := range r.History().Apps {
		if app.App != pattern {
			continue
		}
		sums := make(map[string]int)
		for outcome, counts := range app.Outcomes {
			for _, n := range counts {
				sums[outcome] += int(n)
			}
		}
		return sums
	}
	r.t.Fatalf("the history has no app %s", pattern)
	return nil
}

func TestV20_TheHistoryCountsEachPushThatTheObserverSees(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t,
			appFor("app", byPushkey(map[string]providers.Outcome{
				"good": providers.Delivered(), "dead": providers.Rejected("gone"), "busy": providers.Retry("http_503", 0, nil),
				"large": providers.Dropped("too_large", nil), "wrong": providers.Misconfigured("bad_key", nil), "unknown": providers.Suspected("not_found"),
			})),
			appFor("broken", choosy{always(providers.Delivered())}), appFor("idle", always(providers.Delivered())),
		)
		box := &losing{memoryBox: r.box}
		r.Options.Outbox = box
		r.Gateway = New(r.Options)
		for i, pushkey := range []string{"good", "dead", "dead", "busy", "large", "wrong", "unknown", "good"} {
			r.notify(event(fmt.Sprint("$", i), device(pushkey)))
		}
		r.wake(providers.Notification{}, "good", `{}`)
		r.notify(badge(deviceOf("broken", "bad", 0)))
		box.lost("app", outbox.LossExpired, 3)
		box.lost("gone", outbox.LossExpired, 5)

		want := map[string]map[string]int{"app": {"dropped": 3}, "broken": {}, "idle": {}}
		for _, a := range r.attempts() {
			want[a.App.Pattern][a.Kind()]++
		}
		if len(want["app"]) < 6 || len(want["broken"]) != 1 {
			t.Errorf("the observer saw only %v", want)
		}
		for app := range want {
			if got := r.sums(app); !maps.Equal(got, want[app]) {
				t.Errorf("app %s: the history has %v, and the observer saw %v", app, got, want[app])
			}
		}
	})
}

func TestEveryKindOfAttemptHasAPlaceInTheHistory(t *testing.T) {
	t.Parallel()
	some := make(map[string]bool)
	for kind := providers.KindRetry; kind <= providers.KindMisconfigured; kind++ {
		for result := range results {
			for _, alarm := range []bool{false, true} {
				a := Attempt{Outcome: providers.Outcome{Kind: kind}, Result: result, Alarm: alarm}
				some[a.Kind()] = true
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(some)), slices.Sorted(slices.Values(kinds[:])); !slices.Equal(got, want) {
		t.Errorf("attempts are %q, and the history has %q", got, want)
	}
}

// reload loads a configuration with these apps while another gateway is live.
func (r *rig) reload(before *Gateway, patterns ...string) *Gateway {
	r.t.Helper()
	var apps []*App
	for _, pattern := range patterns {
		apps = append(apps, appFor(pattern, always(providers.Delivered())))
	}
	router, err := NewRouter(apps)
	if err != nil {
		r.t.Fatal(err)
	}
	options := r.Options
	options.Router, options.Before = router, before
	g := New(options)
	if g.Before != nil {
		r.t.Error("each configuration keeps the one before it")
	}
	return g
}

func TestV21_TheHistoryOutlivesReloadsAndEndsWithItsApp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := after(time.Second, providers.Delivered())
		r := newRig(t, appFor("app", slow), appFor("other", always(providers.Delivered())))
		delivered := func(app string, want int) {
			t.Helper()
			if got := r.sums(app)["delivered"]; got != want {
				t.Errorf("app %s: %d deliveries, want %d", app, got, want)
			}
		}
		r.notify(event("$1", device("a")))
		r.notify(event("$2", deviceOf("other", "a", 0)))
		go r.notify(event("$in flight", device("b")))
		synctest.Wait()

		first := r.Gateway
		r.reload(first, "app") // fails to start, so the first stays live
		r.Gateway = r.reload(first, "app", "other", "third")
		delivered("app", 1)
		delivered("other", 1)
		delivered("third", 0)
		time.Sleep(time.Second) // a push that began before the reload is delivered
		synctest.Wait()
		delivered("app", 2)
		r.notify(event("$3", device("a")))
		delivered("app", 3)

		r.Gateway = r.reload(r.Gateway, "app")
		r.Gateway = r.reload(r.Gateway, "app", "other")
		delivered("app", 3)
		delivered("other", 0)
	})
}

// jumped returns a time as if the wall clock had jumped: the monotonic clock shows what it showed. There is no function for that, so it
// changes the seconds inside a time.
func jumped(t *testing.T, now time.Time, by time.Duration) time.Time {
	t.Helper()
	then := now
	*(*uint64)(unsafe.Pointer(&then)) += uint64(by/time.Second) << 30
	if then.Sub(now) != 0 || then.Round(0).Sub(now.Round(0)) != by {
		t.Fatalf("%v is not %v after a jump by %v", then, now, by)
	}
	return then
}

// It has no bubble: there, times have no monotonic reading.
func TestV22_TheHistoryKeepsItsOrderWhateverTheWallClockDoes(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{0, -5 * time.Hour, 5 * time.Hour, 24 * 400 * time.Hour, -90 * time.Second} {
		t.Run(jump.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, appFor("app", always(providers.Delivered())))
			var passed, by time.Duration
			now := func() time.Time { return jumped(t, r.Shared.minute0.Add(passed), by) }
			r.Now = now
			push := func(n int) {
				for i := range n {
					wantLine(t, r.notify(event(fmt.Sprint(n, i), device("a"))), `[]`)
					r.attempts() // no goroutine reads the clock any more
				}
			}
			push(1)
			passed = 10*time.Minute + 17*time.Second
			push(2)
			by = jump
			push(3)
			passed += 2 * time.Minute
			push(4)

			h := r.History()
			want := make([]uint32, 60)
			want[47], want[57], want[59] = 1, 5, 4
			if got := h.Apps[0].Outcomes["delivered"]; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			began := now().Round(0).Add(-17*time.Second - 59*time.Minute)
			if h.Minutes != 60 || !h.Since.Equal(began) {
				t.Errorf("%d minutes since %v, want 60 since %v", h.Minutes, h.Since, began)
			}
		})
	}
}

func TestV22_AMinuteEndsOnceAndItsCountsStayTheSame(t *testing.T) {
	t.Parallel()
	const first = 1000
	for _, tt := range []struct {
		name   string
		counts []int64        // the minute that each push sees, from first
		at     int64          // when the history is read
		want   map[int]uint32 // by place from the end
	}{
		{"none", nil, 0, nil},
		{"one minute", []int64{0, 0, 0}, 0, map[int]uint32{0: 3}},
		{"a minute each", []int64{0, 1, 2}, 2, map[int]uint32{0: 1, 1: 1, 2: 1}},
		{"a late writer counts in the running minute", []int64{0, 2, 0, 1}, 2, map[int]uint32{0: 3, 2: 1}},
		{"an idle app", []int64{0, 0}, 30, map[int]uint32{30: 2}},
		{"the last place", []int64{0, 0}, 59, map[int]uint32{59: 2}},
		{"an hour later", []int64{0, 0}, 60, nil},
		{"idle for an hour between", []int64{0, 60}, 60, map[int]uint32{0: 1}},
		{"idle for more than an hour between", []int64{0, 1, 61}, 61, map[int]uint32{0: 1}},
		{"idle for days", []int64{0, 1, 2, 3, 10_000}, 10_000, map[int]uint32{0: 1}},
		{"idle for days, without a push since", []int64{0, 1, 2, 3}, 10_000, nil},
		{"twice around", []int64{0, 30, 59, 60, 61, 119, 120}, 120, map[int]uint32{0: 1, 1: 1, 59: 1}},
		{"a reader that is late", []int64{0, 1, 60}, 59, map[int]uint32{58: 1, 59: 1}},
		{"a reader that is very late", []int64{0, 1, 200}, 59, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var h history
			for _, minute := range tt.counts {
				h.count("retry", 1, first+minute)
			}
			for range 2 {
				got, want := h.hour(first+tt.at), map[string][]uint32{}
				if len(tt.want) > 0 {
					want["retry"] = make([]uint32, 60)
				}
				for place, n := range tt.want {
					want["retry"][59-place] = n
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			}
		})
	}
}

func TestV22_NoPushIsLostOrCountedTwiceWhileMinutesEnd(t *testing.T) {
	t.Parallel()
	const writers, each, minutes = 8, 400, 50 // fewer than 4096: each count is exact
	for range 20 {
		var h history
		var clock, done atomic.Int64
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for i := range each {
					minute := clock.Load()
					if done.Add(1)%(writers*each/minutes) == 0 {
						clock.Add(1)
					}
					h.count(kinds[i%len(kinds)], 1, minute)
				}
			})
		}
		all.Go(func() {
			for minute := int64(0); minute < minutes; minute = clock.Load() {
				h.hour(minute)
			}
		})
		all.Wait()
		for kind, counts := range h.hour(minutes) {
			sum := uint32(0)
			for _, n := range counts {
				sum += n
			}
			if sum != writers*each/uint32(len(kinds)) {
				t.Errorf("%s: %d pushes, want %d", kind, sum, writers*each/len(kinds))
			}
		}
	}
}

func TestV23_TheHistoryOf200AppsTakesLessThan256KiB(t *testing.T) {
	t.Parallel()
	var apps []*App
	for i := range 200 {
		apps = append(apps, appFor(fmt.Sprint("app", i), always(providers.Delivered())))
	}
	r := newRig(t, apps...)
	total := uintptr(0)
	if kind := pointerIn(reflect.TypeFor[history]()); kind != "" { // then it could grow
		t.Fatalf("a history has a %s", kind)
	}
	for _, app := range r.Router.Apps() {
		total += unsafe.Sizeof(*app.history) + unsafe.Sizeof(app.history)
	}
	t.Logf("%d bytes", total)
	if total > 256<<10 {
		t.Errorf("the histories take %d bytes, want at most %d", total, 256<<10)
	}
}

// pointerIn returns the kind of a part of a type that refers to other memory, or nothing.
func pointerIn(of reflect.Type) string {
	switch kind := of.Kind(); kind {
	case reflect.Array:
		return pointerIn(of.Elem())
	case reflect.Struct:
		for i := range of.NumField() {
			if found := pointerIn(of.Field(i).Type); found != "" {
				return found
			}
		}
		return ""
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice, reflect.String, reflect.UnsafePointer:
		return kind.String()
	default:
		return ""
	}
}

func TestCountsOfMinutesThatEndedAreExactUpTo4095AndNearlyExactAbove(t *testing.T) {
	t.Parallel()
	for n := range uint32(1 << roundedBits) {
		if got := roundDown(n).value(); got != n {
			t.Errorf("%d is kept as %d", n, got)
		}
	}
	for n := uint32(4096); n < 4095<<15; n += n / 7 {
		if got := roundDown(n).value(); got > n || float64(n-got) > 0.0005*float64(n) {
			t.Errorf("%d is kept as %d", n, got)
		}
	}
	if got := roundDown(math.MaxUint32).value(); got != 4095<<15 {
		t.Errorf("the largest count is kept as %d", got)
	}
}
