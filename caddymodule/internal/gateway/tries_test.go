package gateway

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// atMost is a 4xx with a Retry-After: next.md 3.
func atMost(n int) providers.Outcome {
	o := providers.Limited("refused", time.Minute, nil)
	o.MaxTries, o.Word = n, "TooOften"
	return o
}

func TestAPushIsDroppedOnceItGotAnOutcomeAsOftenAsThatAllows(t *testing.T) {
	t.Parallel()
	timeout := providers.Unreachable("timeout", nil)
	for _, tt := range []struct {
		name     string
		outcomes []providers.Outcome
		want     int
	}{
		{"three times", []providers.Outcome{atMost(3)}, 3},
		{"once", []providers.Outcome{atMost(1)}, 1},
		{"another outcome in between", []providers.Outcome{atMost(3), atMost(3), timeout, atMost(3)}, 6},
		{"a limit of the gateway is not an attempt", []providers.Outcome{atMost(3), atMost(3), providers.Busy("host_busy", nil), atMost(3)}, 4},
		{"a failure of another kind first", []providers.Outcome{timeout, timeout, timeout, atMost(3)}, 6},
	} {
		for body, notification := range map[string]string{"event": event("$e", device("known")), "badge": badge(device("known"))} {
			t.Run(tt.name+", "+body, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					p := inTurn(tt.outcomes...)
					r, _ := keeping(t, appFor("app", p))
					wantLine(t, r.notify(notification), `[]`)
					time.Sleep(2 * time.Hour)
					synctest.Wait()
					wantPushes(t, p, tt.want)
					all := r.attempts()
					if o := all[len(all)-1].Outcome; o.Kind != providers.KindDropped || o.Reason != "refused" || o.Word != "TooOften" || o.Err == nil {
						t.Errorf("the last outcome is %+v", o)
					}
					if depths, _, _ := r.depths(t.Context()); len(depths) != 0 {
						t.Errorf("pending are %+v", depths)
					}
				})
			})
		}
	}
}

func TestWithoutAnOutboxTheHomeserversRepetitionsCount(t *testing.T) {
	t.Parallel()
	for body, notification := range map[string]string{"event": event("$e", device("key")), "badge": badge(device("key"))} {
		t.Run(body, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := always(atMost(3))
				r := newRig(t, appFor("app", p))
				wantLine(t, r.notify(notification), `503 after 1m0s`)
				r.sharing(r) // a reload
				wantLine(t, r.notify(notification), `503 after 1m0s`)
				wantLine(t, r.notify(notification), `[]`)
				wantPushes(t, p, 3)
				wantLine(t, r.notify(event("$other", device("key"))), `503 after 1m0s`) // begins from scratch
			})
		})
	}
}

// The attempts at a push that the homeserver repeats until the outbox accepts it count.
func TestAttemptsBeforeTheOutboxTookThePushCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(atMost(3))
		r := newRig(t, appFor("app", p))
		wantLine(t, r.notify(event("$e", device("key"))), `503 after 1m0s`)
		r.use(openFile(t, t.TempDir()+"/outbox.db"))
		r.works()
		wantLine(t, r.notify(event("$e", device("key"))), `[]`)
		time.Sleep(time.Hour)
		synctest.Wait()
		wantPushes(t, p, 3)
	})
}

func TestThePushesWhoseTriesAreCountedAreBounded(t *testing.T) {
	t.Parallel()
	counted := newTries()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range maxCounted {
				f := newFlight(cargo{push: providers.Push{ID: fmt.Sprint(i, j)}, event: eventKey{byte(i), byte(j), byte(j >> 8), 1}})
				counted.note(f, atMost(3))
			}
		})
	}
	wg.Wait()
	if n := counted.counts.Len(); n != maxCounted {
		t.Errorf("%d are counted, want %d", n, maxCounted)
	}
	f := newFlight(cargo{push: providers.Push{ID: "last"}, event: eventKey{1}})
	if counted.note(f, atMost(3)) != 1 || counted.note(f, atMost(3)) != 2 {
		t.Error("one that comes last is not counted")
	}
	counted.note(f, providers.Delivered())
	if n := counted.counts.Len(); n != maxCounted-2 {
		t.Errorf("a delivery leaves %d", n)
	}
}
