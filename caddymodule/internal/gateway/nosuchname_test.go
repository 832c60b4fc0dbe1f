package gateway

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// noSuchName is a provider's outcome for a name that does not exist, and anOutage its outcome for a resolver that does not answer.
func noSuchName() providers.Outcome {
	o := anOutage()
	o.NoSuchName = true
	return o
}

func anOutage() providers.Outcome { return providers.Unreachable("dns", errors.New("no answer")) }

// Finding 13: 503 for a name that the operator's resolver does not know, but 200 for a name with a private address.
func TestANameThatDoesNotExistIsAnsweredAsOneThatIsBlocked(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]error{"outbox off": outbox.ErrOff, "outbox full": outbox.ErrFull, "an outbox": nil} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				answers := make(map[string]string)
				for kind, o := range map[string]providers.Outcome{"blocked": providers.Blocked("blocked", nil), "no such name": noSuchName()} {
					r := newRig(t, appFor("app", byHost{always(o)}))
					r.box.err = with
					for i := range 100 { // more than it takes to open a breaker
						answers[kind] += r.notify(event(fmt.Sprint("$", i), device(fmt.Sprint("nxname.corp.test/", i)))) + " "
					}
					if len(r.box.log) != 0 {
						t.Errorf("%s: the outbox got the calls %q", kind, r.box.log)
					}
					for _, a := range r.attempts() {
						if a.Kind() != "dropped" {
							t.Fatalf("%s: an attempt is %s (%s)", kind, a.Kind(), a.Outcome.Reason)
						}
					}
				}
				if answers["blocked"] != answers["no such name"] {
					t.Errorf("the answers differ: %v", answers)
				}
			})
		})
	}
}

func TestANameThatTookAPushBeforeMayComeBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gone := false
		p := &scripted{}
		p.script = func(context.Context, *providers.Push) providers.Outcome {
			if gone {
				return noSuchName()
			}
			return providers.Delivered()
		}
		r := newRig(t, appFor("app", byHost{p}))
		wantLine(t, r.notify(event("$1", device("host/known"))), `[]`)
		gone = true
		wantLine(t, r.notify(event("$2", device("host/known"))), `503 after 5s`)
		wantLine(t, r.notify(event("$3", device("host/new"))), `503 after 5s`) // others there were delivered to
		wantLine(t, r.notify(event("$4", device("other/new"))), `[]`)
		r.withOutbox()
		wantLine(t, r.notify(event("$5", device("host/known"))), `[]`)
		if n := len(r.box.entries); n != 1 {
			t.Errorf("%d entries in the outbox, want the one of the device that was delivered to", n)
		}
	})
}

func TestAResolverThatFailsAffectsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(anOutage())
		r, _ := keeping(t, appFor("app", byHost{p}))
		wantLine(t, r.notify(event("$1", device("host/new"))), `[]`)
		p.become(func(context.Context, *providers.Push) providers.Outcome { return noSuchName() }) // while it is pending
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		before := len(p.asked())
		p.become(func(context.Context, *providers.Push) providers.Outcome { return providers.Delivered() })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := p.since(before, "host/new"); len(got) != 1 {
			t.Errorf("delivered were %q, want the pending push", got)
		}
	})
}
