package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestWhatHasNoVerdictGoesToTheOutbox(t *testing.T) {
	t.Parallel()
	gone := providers.Rejected("gone")
	tests := []struct {
		name     string
		wait     time.Duration
		takes    time.Duration
		o        providers.Outcome
		want     string
		happened string
	}{
		{"a verdict in time does not", 5 * time.Second, time.Second, providers.Delivered(), `[]`, ""},
		{"a rejection in time does not", 5 * time.Second, time.Second, gone, `["key"]`, ""},
		{"a retry in time does, with no attempt running", 5 * time.Second, time.Second, providers.Retry("busy", 0, nil), `[]`, "accept"},
		{"a misconfiguration does", 5 * time.Second, 0, providers.Misconfigured("bad_topic", nil), `[]`, "accept"},
		{"an attempt that outlasts the wait does, and settles it", 5 * time.Second, 8 * time.Second, providers.Delivered(), `[]`, "accept running, settle"},
		{"and settles it when nothing can be delivered", 5 * time.Second, 8 * time.Second, providers.Dropped("too_large", nil), `[]`, "accept running, settle"},
		{"and settles it when the pushkey is dead", 5 * time.Second, 8 * time.Second, gone, `[]`, "accept running, settle"},
		{"and releases it for a retry", 5 * time.Second, 8 * time.Second, providers.Retry("busy", 9*time.Second, nil), `[]`, "accept running, release in 9s"},
		{"and releases it when misconfigured", 5 * time.Second, 8 * time.Second, providers.Misconfigured("bad_topic", nil), `[]`, "accept running, release in 1m0s"},
		{"with no wait it does at once", 0, time.Second, providers.Delivered(), `[]`, "accept running, settle"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				app := appFor("app", after(tt.takes, tt.o))
				app.Wait = tt.wait
				r := newRig(t, app).withOutbox()
				start := time.Now()
				wantLine(t, r.notify(event("$e", device("key"))), tt.want)
				if waited := time.Since(start); waited != min(tt.wait, tt.takes) {
					t.Errorf("waited %v", waited)
				}
				r.Shared.Drain(context.Background())
				if got := r.box.happened(); got != tt.happened {
					t.Errorf("the outbox saw %q, want %q", got, tt.happened)
				}
				if got := len(r.store.records) == 1; got != (tt.o.Kind == providers.KindRejected) {
					t.Errorf("the rejection is stored: %v", got)
				}
			})
		})
	}
}

func TestAnEntryHoldsThePush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("app*", always(providers.Retry("busy", 0, nil)))).withOutbox()
		r.notify(badge(deviceOf("app1", "key", 1000)))
		e := r.box.entries[0]
		var push providers.Push
		if err := json.Unmarshal(e.Push, &push); err != nil {
			t.Fatal(err)
		}
		if push.ID != e.ID || push.Device.Pushkey != "key" || *push.Notification.Counts.Unread != 3 || push.Notification.Body != nil {
			t.Errorf("it holds %s", e.Push)
		}
		e.Push = nil
		want := outbox.Entry{
			ID: push.ID, App: "app*", Device: rejected.KeyOf("app1", "key"), Replace: outbox.ReplaceBadge, PushkeyTS: 1_000_000,
			Expires: time.Now().Add(24 * time.Hour),
		}
		if !e.Expires.Equal(want.Expires) || e.ID != want.ID || e.App != want.App || e.Device != want.Device || e.Event != want.Event ||
			e.Replace != want.Replace || e.Host != want.Host || e.PushkeyTS != want.PushkeyTS || e.Running != want.Running {
			t.Errorf("got  %+v\nwant %+v", e, want)
		}
	})
}

func TestAnEntryHoldsItsEventIfItIsToBeRemembered(t *testing.T) {
	t.Parallel()
	for _, window := range []time.Duration{0, 24 * time.Hour} {
		t.Run(window.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, appFor("app", always(providers.Retry("busy", 0, nil)))).withOutbox()
				r.Dedupe = window
				r.notify(event("$e", device("key")))
				e := r.box.entries[0]
				if remembered := e.Event != [16]byte{}; remembered != (window > 0) || !e.EventUntil.Equal(time.Now().Add(window)) {
					t.Errorf("remembered: %v, until %v", remembered, e.EventUntil)
				}
			})
		})
	}
}

func TestARejectionThatCouldNotBeRecordedKeepsItsEntry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		app := appFor("app", after(time.Second, providers.Rejected("gone")))
		app.Wait = 0
		r := newRig(t, app).withOutbox()
		r.store.failNext = errBroken
		wantLine(t, r.notify(event("$e", device("key"))), `[]`)
		r.Shared.Drain(context.Background())
		if got, want := r.box.happened(), "accept running, release in 5s"; got != want {
			t.Errorf("the outbox saw %q, want %q", got, want)
		}
	})
}

func TestWhatTheOutboxTookIsNotTakenAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		p    *scripted
	}{
		{"while its attempt runs", after(20*time.Second, providers.Delivered())},
		{"after its attempt failed", always(providers.Retry("busy", 0, nil))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, appFor("app", tt.p)).withOutbox()
				for range 3 {
					wantLine(t, r.notify(event("$e", device("key"))), `[]`)
				}
				wantPushes(t, tt.p, 1)
				if happened := r.box.happened(); strings.Count(happened, "accept") != 1 {
					t.Errorf("the outbox saw %q", happened)
				}
			})
		})
	}
}

func TestThoseWhoWaitTogetherHandOverOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := after(20*time.Second, providers.Delivered())
		r := newRig(t, appFor("app", p)).withOutbox()
		answers := make(chan string)
		for range 5 {
			go func() { answers <- r.notify(event("$e", device("key"))) }()
		}
		for range 5 {
			wantLine(t, <-answers, `[]`)
		}
		r.Shared.Drain(context.Background())
		if got, want := r.box.happened(), "accept running, settle"; got != want {
			t.Errorf("the outbox saw %q, want %q", got, want)
		}
	})
}

func TestAnOutboxThatTakesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		err      error
		failures int
	}{
		{"because it is off", outbox.ErrOff, 0},
		{"because it is full", outbox.ErrFull, 0},
		{"because it fails, which the operator hears", errBroken, 2}, // asked for pending pushes, and to accept
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			waits := map[string]struct {
				wait, takes, waited time.Duration
				o                   providers.Outcome
				want                string
			}{
				"the homeserver tries again":              {3 * time.Second, 0, 0, providers.Retry("busy", 9*time.Second, nil), `503 after 9s`},
				"the homeserver tries again after a wait": {3 * time.Second, 20 * time.Second, 3 * time.Second, providers.Delivered(), `503 after 5s`},
				"no wait becomes the usual one":           {0, 4 * time.Second, 4 * time.Second, providers.Delivered(), `[]`},
				"and that one ends, too":                  {0, 20 * time.Second, 5 * time.Second, providers.Delivered(), `503 after 5s`},
				"no wait learns of a rejection":           {0, time.Second, time.Second, providers.Rejected("gone"), `["key"]`},
			}
			for name, w := range waits {
				t.Run(name, func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						app := appFor("app", after(w.takes, w.o))
						app.Wait = w.wait
						r := newRig(t, app)
						r.box.err = tt.err
						start := time.Now()
						wantLine(t, r.notify(event("$e", device("key"))), w.want)
						if waited := time.Since(start); waited != w.waited {
							t.Errorf("waited %v, want %v", waited, w.waited)
						}
						r.Shared.Drain(context.Background())
						if len(r.saw.reported()) > tt.failures {
							t.Errorf("the observer saw %q", r.saw.reported())
						}
						if tt.failures > 0 && len(r.saw.reported()) == 0 {
							t.Error("the observer saw nothing")
						}
					})
				})
			}
		})
	}
}

// An Accept that was cut off may have happened: a delivered push must not stay in the outbox.
func TestWhatMayHaveBeenAcceptedIsSettledWhenItIsDelivered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		app := appFor("app", after(time.Second, providers.Delivered()))
		app.Wait = 0
		r := newRig(t, app).withOutbox()
		r.use(unsureBox{r.box})
		wantLine(t, r.notify(event("$e", device("key"))), `[]`)
		r.Shared.Drain(t.Context())
		if got, want := r.box.happened(), "accept running, settle"; got != want {
			t.Errorf("the outbox saw %q, want %q", got, want)
		}
	})
}

// unsureBox is an outbox that accepts, but returns ErrUnsure.
type unsureBox struct{ *memoryBox }

func (b unsureBox) Accept(ctx context.Context, e outbox.Entry) ([]outbox.Ref, error) {
	_, _ = b.memoryBox.Accept(ctx, e)
	return nil, fmt.Errorf("no answer: %w", outbox.ErrUnsure)
}

func TestASettleThatWasLostIsMadeAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		app := appFor("app", after(time.Second, providers.Delivered()))
		app.Wait = 0
		r := newRig(t, app).withOutbox()
		r.use(&losingBox{memoryBox: r.box})
		wantLine(t, r.notify(event("$e", device("key"))), `[]`)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := r.box.happened(), "accept running, settle"; got != want {
			t.Errorf("the outbox saw %q, want %q", got, want)
		}
	})
}

// losingBox is an outbox that never receives the first Settle, and nobody knows.
type losingBox struct {
	*memoryBox
	lost atomic.Bool
}

func (b *losingBox) Settle(ctx context.Context, r outbox.Ref) error {
	if b.lost.CompareAndSwap(false, true) {
		return outbox.ErrUnsure
	}
	return b.memoryBox.Settle(ctx, r)
}

func TestAPushJoinsBehindThoseThatWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := inTurn(providers.Retry("busy", 0, nil), providers.Delivered())
		r := newRig(t, appFor("app", p)).withOutbox()
		wantLine(t, r.notify(event("$1", device("key"))), `[]`)
		wantLine(t, r.notify(event("$2", device("key"))), `[]`) // would overtake the first
		wantPushes(t, p, 1)
		wantLine(t, r.notify(event("$1", device("other"))), `[]`)
		wantPushes(t, p, 2)
		if got, want := r.box.happened(), "accept, accept"; got != want {
			t.Errorf("the outbox saw %q, want %q", got, want)
		}
	})
}

func TestAPushThatCannotJoinThoseThatWaitIsSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := inTurn(providers.Retry("busy", 0, nil), providers.Delivered())
		r := newRig(t, appFor("app", p)).withOutbox()
		wantLine(t, r.notify(event("$1", device("key"))), `[]`)
		r.use(fullBox{r.box})
		wantLine(t, r.notify(event("$2", device("key"))), `503 after 5s`)
		wantPushes(t, p, 1)
		r.use(r.box)
		wantLine(t, r.notify(event("$2", device("key"))), `[]`)
		wantPushes(t, p, 1)
	})
}

// fullBox is an outbox that takes no more.
type fullBox struct{ *memoryBox }

func (fullBox) Accept(context.Context, outbox.Entry) ([]outbox.Ref, error) {
	return nil, outbox.ErrFull
}

func TestDrainWaitsForTheLastAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("app", after(20*time.Second, providers.Delivered())))
		r.notify(event("$1", device("a")))
		r.notify(event("$2", device("b")))
		drained := make(chan struct{})
		go func() { r.Shared.Drain(context.Background()); close(drained) }()
		time.Sleep(14 * time.Second) // the second attempt began 5 s into the first, and has a second left
		synctest.Wait()
		select {
		case <-drained:
			t.Error("it did not wait")
		default:
		}
		<-drained
		if len(r.saw.attempts) != 2 {
			t.Errorf("the observer saw %d attempts", len(r.saw.attempts))
		}
	})
}

// losing is an outbox that drops pushes by itself.
type losing struct {
	*memoryBox
	lost func(app string, why outbox.Loss, entries int)
}

func (l *losing) OnLoss(lost func(app string, why outbox.Loss, entries int)) { l.lost = lost }

func TestWhatTheOutboxDropsByItselfIsReported(t *testing.T) {
	t.Parallel()
	r := newRig(t, appFor("app", always(providers.Delivered())))
	box := &losing{memoryBox: r.box}
	r.Options.Outbox = box
	r.Gateway = New(r.Options)
	box.lost("app", outbox.LossExpired, 2)
	box.lost("gone", outbox.LossUnreadable, 1)
	if got := r.saw.seen(); !slices.Equal(got, []string{"lost: app expired 2", "lost: gone unreadable 1"}) {
		t.Errorf("the observer saw %q", got)
	}
}

func TestAnExpiredPushOfAKnownDeviceIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, appFor("app", always(providers.Delivered())))
		r.notify(event("$1", device("key")))
		app := r.Router.Apps()[0]
		for pushkey, known := range map[string]bool{"key": true, "other": false} {
			before := len(r.attempts())
			r.retry(app, outbox.Leased{Entry: outbox.Entry{
				ID: "id", App: "app", Device: rejected.KeyOf("app", pushkey), Push: []byte(keptEarlier), Expires: time.Now().Add(-time.Second),
			}})
			if a := r.attempts()[before]; a.Outcome.Reason != "expired" || a.Known != known {
				t.Errorf("%s: %s, known is %v", pushkey, a.Outcome.Reason, a.Known)
			}
		}
	})
}
