package gateway

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
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
