package gateway

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestAnOutboxThatHangsDoesNotHoldUpItsSuccessor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		app := func() *App { return appFor("app", always(providers.Retry("unavailable", 0, nil))) }
		r := newRig(t, app())
		box := newHangingBox()
		r.use(box)
		box.hang()
		for i := range maxDoubts {
			go r.notify(event("$e", device(fmt.Sprint("key", i))))
		}
		time.Sleep(20 * time.Second)
		second := newRig(t, app()).withOutbox().sharing(r) // a reload with another outbox, which works
		wantLine(t, second.notify(event("$x", device("other"))), `[]`)
		box.work()
		time.Sleep(time.Minute)
	})
}

// Two pushes of one device are under way when its push server restarts. The host has no other device.
func TestADeviceThatTookAPushBesideALookIsNotProvedDeadByIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &scripted{}
		p.script = func(context.Context, *providers.Push) providers.Outcome {
			switch len(p.asked()) {
			case 1: // meets the restart
				time.Sleep(100 * time.Millisecond)
				return providers.Suspected("not_found")
			case 2: // meets its end
				time.Sleep(time.Second)
				return providers.Delivered()
			default: // the next restart
				return providers.Suspected("not_found")
			}
		}
		r := newRig(t, appFor("app", byHost{p}))
		done := make(chan string, 2)
		go func() { done <- r.notify(event("$1", device("host/a"))) }()
		time.Sleep(10 * time.Millisecond)
		go func() { done <- r.notify(event("$2", device("host/a"))) }()
		<-done
		<-done
		time.Sleep(11 * time.Minute)
		if got := r.notify(event("$3", device("host/a"))); got == `["host/a"]` {
			t.Errorf("a device that took a push after the look, with no other at its host, is rejected by the next 404")
		}
	})
}

func TestADeliveryAcquitsAlsoWhereTheLookupFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := inTurn(providers.Suspected("not_found"), providers.Delivered(), providers.Suspected("not_found"))
		r := newRig(t, appFor("app", byHost{p}))
		r.notify(event("$1", device("host/a")))
		time.Sleep(2 * time.Minute)
		r.store.failLookup = errBroken
		wantLine(t, r.notify(event("$2", device("host/a"))), `[]`)
		r.store.failLookup = nil
		time.Sleep(11 * time.Minute)
		wantLine(t, r.notify(event("$3", device("host/a"))), `503 after 1m0s`)
	})
}

func TestAPushkeyThatIsForgottenIsNotCountedAsSuspected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := inTurn(providers.Suspected("not_found"), providers.Delivered())
		r := newRig(t, appFor("app", byHost{p}))
		r.notify(event("$1", device("host/a")))
		_, _ = r.Forget(t.Context(), rejected.KeyOf("app", "host/a"))
		r.notify(event("$2", device("host/a")))
		r.attempts()
		if n := r.Status(t.Context())[0].Suspected; n != 0 {
			t.Errorf("%d suspected, of a pushkey that was forgotten and delivered to", n)
		}
	})
}

// The new configuration's own outbox would never learn that the push was delivered.
func TestAPushIsHandedOverByTheConfigurationThatMakesTheAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := after(20*time.Second, providers.Delivered())
		oldApp, newApp := appFor("app", p), appFor("app", p)
		oldApp.Wait = 10 * time.Second
		newApp.Wait = time.Second
		r := newRig(t, oldApp) // outbox off
		go r.notify(event("$e", device("key")))
		time.Sleep(time.Second)
		second := newRig(t, newApp)
		second.Options.Shared, second.Options.Outbox = r.Shared, openFile(t, filepath.Join(t.TempDir(), "outbox.db"))
		second.Gateway = New(second.Options)
		second.works()
		second.notify(event("$e", device("key"))) // the homeserver sends it again
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := len(p.asked()); n != 1 {
			t.Errorf("delivered %d times", n)
		}
	})
}

func TestTwoPushesThatAreBlockedAtTheSameTimeAreBothHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &scripted{}
		p.script = func(_ context.Context, q *providers.Push) providers.Outcome {
			switch q.Notification.EventID {
			case "$1":
				return providers.Delivered()
			case "$3":
				time.Sleep(time.Second) // its name takes longer to look up
			}
			return providers.Blocked("blocked", nil)
		}
		r, _ := keeping(t, appFor("app", p))
		r.notify(event("$1", device("key")))
		go r.notify(event("$3", device("key")))
		time.Sleep(time.Millisecond)
		r.notify(event("$2", device("key")))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		depths, _, _ := r.depths(t.Context())
		if depths[0].Entries != 2 {
			t.Errorf("pending are %d of 2", depths[0].Entries)
		}
	})
}

// closedBox is an outbox that a reload has closed.
type closedBox struct{ *memoryBox }

func (b closedBox) Settle(context.Context, outbox.Ref) error { return outbox.ErrNotOpen }

func TestAnOutboxThatIsClosedIsNotAskedForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		app := appFor("app", after(10*time.Second, providers.Delivered()))
		app.Wait = 0
		r := newRig(t, app).withOutbox()
		r.use(closedBox{r.box})
		r.notify(event("$", device("k")))
		time.Sleep(23 * time.Hour)
		synctest.Wait()
		if len(r.saw.reported()) > 3 || len(r.Shared.flights) > 0 {
			t.Errorf("%d failures were reported for one push, and %d flights are left", len(r.saw.reported()), len(r.Shared.flights))
		}
	})
}
