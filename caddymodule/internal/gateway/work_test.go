package gateway

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/file"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// openFile opens an outbox in a file, and closes it when the test ends.
func openFile(t testing.TB, path string) *file.Box {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	box := &file.Box{Path: path}
	if err := box.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Cleanup() })
	if err := box.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return box
}

// keeping is a rig with an outbox in a file, and with workers until the test or stop ends them.
func keeping(t *testing.T, apps ...*App) (r *rig, stop func()) {
	t.Helper()
	r = newRig(t, apps...)
	r.use(openFile(t, filepath.Join(t.TempDir(), "outbox.db")))
	r.Jitter = func(time.Duration) time.Duration { return 500 * time.Millisecond }
	return r, r.works()
}

// works starts the workers.
func (r *rig) works() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Work(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	r.t.Cleanup(stop)
	return stop
}

// outage is a provider that is down until it is fixed.
type outage struct {
	*scripted
	fixed atomic.Bool
}

func newOutage(meanwhile providers.Outcome) *outage {
	o := &outage{}
	o.scripted = &scripted{script: func(context.Context, *providers.Push) providers.Outcome {
		if o.fixed.Load() {
			return providers.Delivered()
		}
		return meanwhile
	}}
	return o
}

// since returns the pushes of a device from the nth on: its events, and its badges as their count.
func (s *scripted) since(n int, pushkey string) (events []string) {
	for _, p := range s.asked()[n:] {
		switch {
		case p.Device.Pushkey != pushkey:
		case p.Notification.Badge:
			events = append(events, fmt.Sprintf("badge %d", *p.Notification.Counts.Unread))
		default:
			events = append(events, p.Notification.EventID)
		}
	}
	return events
}

func badgeOf(unread int, devices ...string) string {
	return fmt.Sprintf(`{"notification":{"counts":{"unread":%d},"devices":[%s]}}`, unread, strings.Join(devices, ","))
}

func TestAnOutageLosesNothingAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]providers.Outcome{
		"unavailable":   providers.Retry("unavailable", 0, nil),
		"misconfigured": providers.Misconfigured("bad_topic", nil),
		"in doubt":      {Kind: providers.KindRejected, Doubtful: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newOutage(meanwhile)
				app := appFor("app", p)
				app.proven.Store(false)
				r, _ := keeping(t, app)
				for i := range 10 {
					for _, pushkey := range []string{"a", "b"} {
						start := time.Now()
						wantLine(t, r.notify(event(fmt.Sprint("$", i), device(pushkey))), `[]`)
						wantLine(t, r.notify(badgeOf(i, device(pushkey))), `[]`)
						if waited := time.Since(start); waited > time.Second {
							t.Errorf("answered after %v", waited)
						}
					}
					time.Sleep(6 * time.Second)
				}
				synctest.Wait()
				p.fixed.Store(true)
				before := len(p.asked())
				time.Sleep(time.Hour)
				synctest.Wait()
				want := []string{"$0", "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "badge 9"}
				for _, pushkey := range []string{"a", "b"} {
					if got := p.since(before, pushkey); !slices.Equal(got, want) {
						t.Errorf("%s got %q, want %q", pushkey, got, want)
					}
				}
				if n := len(r.store.records); n != 0 {
					t.Errorf("%d pushkeys are rejected", n)
				}
			})
		})
	}
}

func TestAVerdictLearnedInTheBackgroundIsAnsweredNextTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := after(time.Second, providers.Rejected("gone"))
		app := appFor("app", p)
		app.Wait = 0
		r, _ := keeping(t, app)
		for i := range 3 {
			wantLine(t, r.notify(event(fmt.Sprint("$", i), device("key"))), `[]`)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		wantPushes(t, p, 1) // the others went with the verdict
		wantLine(t, r.notify(event("$3", device("key"))), `["key"]`)
		wantLine(t, r.notify(event("$4", deviceOf("app", "key", 2000))), `[]`) // it registered again
		synctest.Wait()
		wantPushes(t, p, 2)
	})
}

func TestTheOutboxLeavesAPushServiceAloneAsLongAsItAsks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := inTurn(providers.Retry("busy", 10*time.Minute, nil), providers.Retry("busy", 20*time.Minute, nil), providers.Delivered())
		r, _ := keeping(t, appFor("app", p))
		wantLine(t, r.notify(event("$e", device("key"))), `[]`)
		for _, step := range []struct {
			after  time.Duration
			pushes int
		}{{10*time.Minute - time.Second, 1}, {2 * time.Second, 2}, {20*time.Minute - 2*time.Second, 2}, {2 * time.Second, 3}, {24 * time.Hour, 3}} {
			time.Sleep(step.after)
			synctest.Wait()
			wantPushes(t, p, step.pushes)
		}
		pushes := p.asked()
		if pushes[0].ID != pushes[2].ID || !pushes[0].Expires.Equal(pushes[2].Expires) {
			t.Error("the last attempt is at another push")
		}
	})
}

func TestTheOutboxBacksOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Retry("unavailable", 0, nil))
		app := appFor("app", p)
		r, _ := keeping(t, app)
		r.Jitter = func(d time.Duration) time.Duration { return d }
		wantLine(t, r.notify(event("$e", device("key"))), `[]`)
		var total time.Duration
		for n, pause := range []time.Duration{2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
			total += pause * time.Second
			time.Sleep(pause*time.Second - time.Millisecond)
			synctest.Wait()
			wantPushes(t, p, n+1)
			time.Sleep(time.Millisecond)
			synctest.Wait()
			wantPushes(t, p, n+2)
		}
		time.Sleep(app.TTL - total)
		synctest.Wait()
		n := len(p.asked())
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		wantPushes(t, p, n) // given up
		if last := r.attempts()[len(r.attempts())-1]; last.Outcome.Reason != "expired" {
			t.Errorf("at last it is %s", last.Outcome.Reason)
		}
	})
}

func TestADeadProviderDoesNotAffectOtherApps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dead, fine := newHanging(everyPush), always(providers.Delivered())
		r, _ := keeping(t, appFor("dead", dead), appFor("fine", fine))
		for i := range 600 {
			go r.notify(event(fmt.Sprint("$", i), deviceOf("dead", fmt.Sprint(i), 1)))
		}
		time.Sleep(10 * time.Second)
		start := time.Now()
		wantLine(t, r.notify(event("$e", deviceOf("fine", "key", 1))), `[]`)
		if waited := time.Since(start); waited > 0 {
			t.Errorf("waited %v", waited)
		}
		wantPushes(t, fine, 1)
	})
}

func TestOtherWorkersGoOnWhereTheseStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Retry("unavailable", 0, nil))
		r, stop := keeping(t, appFor("app", p))
		for i := range 20 {
			wantLine(t, r.notify(event("$e", device(fmt.Sprint(i)))), `[]`)
		}
		stop()
		p.fixed.Store(true)
		before := len(p.asked())
		time.Sleep(time.Hour)
		wantPushes(t, p.scripted, before)
		r.works()
		time.Sleep(time.Minute)
		synctest.Wait()
		wantPushes(t, p.scripted, before+20)
	})
}

func TestARestartRemembersWhatWasDeliveredAndWhatWasNot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "outbox.db")
		p := inTurn(providers.Delivered(), providers.Retry("unavailable", 0, nil), providers.Delivered())
		app := appFor("app", p)
		first := newRig(t, app)
		box := openFile(t, path)
		first.use(box)
		wantLine(t, first.notify(event("$delivered", device("key"))), `[]`)
		wantLine(t, first.notify(event("$accepted", device("key"))), `[]`)
		wantPushes(t, p, 2)
		if err := box.Cleanup(); err != nil {
			t.Fatal(err)
		}

		second := newRig(t, app)
		second.use(openFile(t, path))
		second.Recall(t.Context())
		for _, id := range []string{"$delivered", "$accepted"} {
			wantLine(t, second.notify(event(id, device("key"))), `[]`)
		}
		wantPushes(t, p, 2)
		second.works()
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := p.since(2, "key"); !slices.Equal(got, []string{"$accepted"}) {
			t.Errorf("delivered after the restart: %q", got)
		}
	})
}

func TestAnEntryThatCannotBeReadIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Delivered())
		r, _ := keeping(t, appFor("app", p))
		for i, push := range []string{`{}`, `"x"`, `{"Device":{}}`} {
			_, err := r.Outbox.Accept(t.Context(), outbox.Entry{
				ID: fmt.Sprint(i), App: "app", Device: [16]byte{1}, Push: []byte(push), Expires: time.Now().Add(time.Hour),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wantPushes(t, p, 0)
		if n := len(r.attempts()); n != 3 {
			t.Errorf("%d were given up", n)
		}
	})
}

// sharedBox is an outbox whose events other gateways may have.
type sharedBox struct {
	*memoryBox
	claim outbox.Claim
	err   error
	noted []string
}

func (b *sharedBox) Claim(context.Context, [16]byte, [16]byte) (outbox.Claim, error) {
	b.noted = append(b.noted, "claim")
	return b.claim, b.err
}

func (b *sharedBox) Unclaim(context.Context, [16]byte, [16]byte) error {
	b.noted = append(b.noted, "unclaim")
	return nil
}

func (b *sharedBox) Note([16]byte, [16]byte, time.Time) { b.noted = append(b.noted, "note") }

func (b *sharedBox) Recall(context.Context, func([16]byte)) error { return nil }

func TestOfSeveralGatewaysOneDelivers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		claim  outbox.Claim
		err    error
		o      providers.Outcome
		want   string
		pushes int
		noted  string
	}{
		{"this one", outbox.Claimed, nil, providers.Delivered(), `[]`, 1, "claim note"},
		{"this one, and it is accepted", outbox.Claimed, nil, providers.Retry("unavailable", 0, nil), `[]`, 1, "claim"},
		{"this one, and the pushkey is dead", outbox.Claimed, nil, providers.Rejected("gone"), `["key"]`, 1, "claim unclaim"},
		{"another one, just now", outbox.Taken, nil, providers.Delivered(), `503 after 5s`, 0, "claim"},
		{"another one, before", outbox.Done, nil, providers.Delivered(), `[]`, 0, "claim"},
		{"nobody knows which", outbox.Claimed, errBroken, providers.Delivered(), `[]`, 1, "claim note"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := always(tt.o)
				r := newRig(t, appFor("app", p)).withOutbox()
				box := &sharedBox{memoryBox: r.box, claim: tt.claim, err: tt.err}
				r.use(box)
				wantLine(t, r.notify(event("$e", device("key"))), tt.want)
				wantPushes(t, p, tt.pushes)
				if got := strings.Join(box.noted, " "); got != tt.noted {
					t.Errorf("the others learn %q, want %q", got, tt.noted)
				}
				wantLine(t, r.notify(badge(device("badges"))), r.notify(badge(device("badges")))) // which nobody claims
				if n := strings.Count(strings.Join(box.noted, " "), "claim"); n > 2 {
					t.Errorf("%d claims", n)
				}
			})
		})
	}
}

// A call that the outbox has not answered yet may be about the delivery of the push.
func TestAPushInDoubtIsNotTriedUntilTheOutboxHasAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := inTurn(providers.Retry("busy", 0, nil), providers.Delivered())
		r, _ := keeping(t, appFor("app", p))
		wantLine(t, r.notify(event("$e", device("key"))), `[]`)
		id := p.asked()[0].ID
		r.Shared.doubts.add(id)
		time.Sleep(time.Hour)
		synctest.Wait()
		wantPushes(t, p, 1)
		r.Shared.doubts.remove(id)
		time.Sleep(time.Minute)
		synctest.Wait()
		wantPushes(t, p, 2)
	})
}
