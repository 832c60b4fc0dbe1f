package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// stuck is a provider whose Push ignores its context. It returns when the test releases it or ends.
type stuck struct {
	*scripted
	released chan struct{}
}

func newStuck(t *testing.T) *stuck {
	t.Helper()
	s := &stuck{released: make(chan struct{})}
	s.scripted = &scripted{script: func(context.Context, *providers.Push) providers.Outcome {
		<-s.released
		return providers.Delivered()
	}}
	t.Cleanup(s.release)
	return s
}

// release lets the calls under way return, and all later ones.
func (s *stuck) release() {
	select {
	case <-s.released:
	default:
		close(s.released)
	}
}

func TestAPushThatNeverReturnsHasAnOutcomeAndCostsNoOtherApp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, fine := newStuck(t), always(providers.Delivered())
		bad := appFor("bad", p)
		bad.Wait = time.Second
		r := newRig(t, bad, appFor("fine", fine))
		wantLine(t, r.notify(event("$1", deviceOf("bad", "key", 1), deviceOf("fine", "key", 1))), `503 after 5s`)
		wantPushes(t, fine, 1)
		start := time.Now()
		r.Shared.Drain(t.Context()) // as at the end of the process
		if took := time.Since(start); took > attemptTimeout+overdueAfter {
			t.Errorf("Drain took %s", took)
		}
		saw := r.attempts()
		if o := saw[len(saw)-1].Outcome; o.Kind != providers.KindRetry || o.Reason != "overdue" || !strings.Contains(o.Err.Error(), "author") {
			t.Errorf("the outcome is %+v", o)
		}
	})
}

func TestAPendingPushThatNeverReturnedIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newStuck(t)
		app := appFor("app", p)
		app.Wait = time.Second
		r, _ := keeping(t, app)
		wantLine(t, r.notify(event("$1", device("key"))), `[]`)
		p.become(func(context.Context, *providers.Push) providers.Outcome { return providers.Delivered() })
		time.Sleep(attemptTimeout)
		wantPushes(t, p.scripted, 1)
		time.Sleep(overdueAfter + time.Minute)
		synctest.Wait()
		wantPushes(t, p.scripted, 2)
		if depths, _, _ := r.depths(t.Context()); len(depths) != 0 {
			t.Errorf("pushes are still pending: %+v", depths)
		}
	})
}

// The gateway cannot end the calls, and each one takes memory.
func TestAProviderThatNeverReturnsIsCalledABoundedNumberOfTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newStuck(t)
		app := appFor("app", p)
		app.Wait, app.Limit = 0, limit.NewFair(16, 16)
		r := newRig(t, app)
		for round := range 20 * maxOverdue {
			r.notify(event(fmt.Sprint("$", round), device(fmt.Sprint("key", round))))
			time.Sleep(10 * time.Second)
		}
		r.Shared.Drain(t.Context())
		called := len(p.asked())
		if called < maxOverdue || called >= maxOverdue+16 {
			t.Errorf("the provider was called %d times", called)
		}
		p.release()
		synctest.Wait()
		time.Sleep(time.Minute) // the breaker's pause
		r.notify(event("$last", device("last")))
		r.Shared.Drain(t.Context())
		if n := len(p.asked()); n != called+1 {
			t.Errorf("after its calls returned, the provider was called %d more times, want 1", n-called)
		}
	})
}

// All apps' requests share the same memory.
func TestAPushThatNeverReturnsHoldsNoMemoryOfOtherAppsRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		app := appFor("app", newStuck(t))
		app.Wait, app.Content = 0, providers.ContentFull
		r := newRig(t, app)
		hand := r.Shared.Hand()
		if !hand.Grow(maxInHand - reserveInHand) {
			t.Fatal("there is no room")
		}
		request, err := Decode([]byte(event("$1", device("key"))), 1000)
		if err != nil {
			t.Fatal(err)
		}
		request.Hand = hand
		r.Notify(request, r.site, everything)
		hand.Close()
		other := r.Shared.Hand()
		if other.Grow(maxInHand / 2) {
			t.Error("the push does not hold its request's memory")
		}
		time.Sleep(attemptTimeout + overdueAfter)
		synctest.Wait()
		if !other.Grow(maxInHand / 2) {
			t.Error("the memory is still held")
		}
		other.Close()
	})
}

// lazy is a provider that starts slowly, and ignores its context.
type lazy struct {
	providers.Provider
	takes time.Duration
}

func (l lazy) Start(context.Context) error {
	time.Sleep(l.takes)
	return nil
}

func TestAProviderThatNeverStartsIsAnErrorOfItsConfiguration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for takes, want := range map[time.Duration]error{0: nil, 34 * time.Second: nil, time.Hour: errStarting} {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			start := time.Now()
			if err := (&App{Provider: lazy{takes: takes}}).Start(ctx); !errors.Is(err, want) {
				t.Errorf("Start takes %s: the error is %v, want %v", takes, err, want)
			}
			if took := time.Since(start); took > 30*time.Second+overdueAfter {
				t.Errorf("Start takes %s: App.Start returned after %s", takes, took)
			}
		}
		time.Sleep(time.Hour)
	})
}

// hollow is a provider whose errors are nil pointers.
type hollow struct{}

func (hollow) Usable(*providers.Device, providers.Site) error { return (*providers.UnusableError)(nil) }
func (hollow) Check(context.Context) error                    { return (*providers.UnusableError)(nil) }

func (hollow) Push(context.Context, *providers.Push) providers.Outcome {
	return providers.Retry("down", 0, (*providers.UnusableError)(nil))
}

func TestAnErrorThatIsANilPointerIsAPanicOfTheProviders(t *testing.T) {
	bubble(t, func(t *testing.T) {
		app := appFor("app", hollow{})
		var reported []string
		app.Panicked = func(_ *App, p Panic) { reported = append(reported, p.Method) }
		r := newRig(t, app)
		wantLine(t, r.notify(event("$1", device("key"))), `503 after 5s`)
		if o := r.attempts()[0].Outcome; o.Reason != "panic" {
			t.Errorf("the outcome is %+v", o)
		}
		var caught *Panic
		if err := app.Check(t.Context()); !errors.As(err, &caught) {
			t.Errorf("Check returned %v", err)
		}
		if len(reported) != 1 || reported[0] != "Usable" {
			t.Errorf("the reported panics are those of %q, want Usable only", reported)
		}
	})
}
