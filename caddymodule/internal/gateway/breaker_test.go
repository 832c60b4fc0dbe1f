package gateway

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestWhileAPushServiceIsDownNobodyWaitsForIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Retry("unavailable", 0, nil))
		r := newRig(t, appFor("app", p))
		for i := range breakerMin {
			wantLine(t, r.notify(event(fmt.Sprint("$", i), device("key"))), `503 after 5s`)
		}
		wantLine(t, r.notify(event("$e", device("key"))), `503 after 10s`)
		wantPushes(t, p.scripted, breakerMin)

		time.Sleep(breakerPause + time.Second)
		wantLine(t, r.notify(event("$e", device("key"))), `503 after 5s`) // the push that notices the outage
		wantLine(t, r.notify(event("$e", device("key"))), `503 after 10s`)
		wantPushes(t, p.scripted, breakerMin+1)

		p.fixed.Store(true)
		time.Sleep(breakerPause + time.Second)
		for i := range 10 {
			wantLine(t, r.notify(event(fmt.Sprint("$again", i), device("key"))), `[]`)
		}
		if want := []string{"breaker opened: app ", "breaker closed: app "}; !slices.Equal(r.saw.seen(), want) {
			t.Errorf("the observer saw %q, want %q", r.saw.seen(), want)
		}
	})
}

func TestOnlyThePushServicesFaultsCount(t *testing.T) {
	t.Parallel()
	for _, o := range []providers.Outcome{
		providers.Rejected("gone"), providers.Unusable("bad_token", nil), providers.Dropped("too_large", nil),
		providers.Misconfigured("bad_topic", nil), providers.Delivered(), providers.Limited("rate_limited", 0, nil),
		{Kind: providers.KindRejected, Doubtful: true},
	} {
		t.Run(o.Kind.String()+" "+o.Reason, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := always(o)
				r := newRig(t, appFor("app", p))
				for i := range 3 * breakerMin {
					r.notify(event("$e", device(fmt.Sprint(i))))
				}
				wantPushes(t, p, 3*breakerMin)
			})
		})
	}
}

// hosted is a provider whose devices name their hosts.
type hosted struct{ *scripted }

func (hosted) Host(d *providers.Device) string { return d.Pushkey }

func TestTheBreakerOfAHostThatIsDownSparesOtherHosts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := byPushkey(map[string]providers.Outcome{"down": providers.Unreachable("network", nil), "fine": providers.Delivered()})
		r := newRig(t, appFor("app", hosted{p}), appFor("other", hosted{p}))
		for i := range 2 * breakerMin {
			r.notify(event(fmt.Sprint("$", i), device("down")))
		}
		wantPushes(t, p, breakerMin)
		wantLine(t, r.notify(event("$e", device("fine"))), `[]`)
		wantLine(t, r.notify(event("$e", deviceOf("other", "down", 1))), `503 after 5s`) // each app notices the outage itself
		wantPushes(t, p, breakerMin+2)
	})
}

func TestABreakerOutlivesTheConfiguration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := always(providers.Retry("unavailable", 0, nil))
		first := newRig(t, appFor("app", p))
		for i := range breakerMin {
			first.notify(event(fmt.Sprint("$", i), device("key")))
		}
		second := newRig(t, appFor("app", p)).sharing(first)
		wantLine(t, second.notify(event("$e", device("key"))), `503 after 10s`)
		wantPushes(t, p, breakerMin)
	})
}

func TestWhatWaitedForAPushServiceIsDeliveredAsSoonAsItWorks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Retry("unavailable", 0, nil))
		r, _ := keeping(t, appFor("app", p))
		r.Jitter = func(d time.Duration) time.Duration { return d }
		for i := range 300 {
			wantLine(t, r.notify(event("$e", device(fmt.Sprint(i)))), `[]`)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		down := len(p.asked())
		if most := breakerMin + 10*60/int(breakerPause/time.Second); down > most {
			t.Errorf("a service that was down was asked %d times in ten minutes, at most %d are to be", down, most)
		}
		p.fixed.Store(true)
		time.Sleep(breakerPause + maxBackoff)
		synctest.Wait()
		wantPushes(t, p.scripted, down+300)
	})
}
