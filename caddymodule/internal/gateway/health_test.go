package gateway

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// step is an attempt in a test of an app's health.
type step struct {
	after   time.Duration // since the step before
	host    string
	outcome providers.Outcome
	age     time.Duration // of the push
	who     outbox.Standing
	own     bool
}

// never is the standing of a stranger of an app that has delivered nothing.
const never = outbox.Standing(9)

// fails is a failure so many seconds later, at the app's only service or at a host, for a device that was delivered to before.
func fails(after time.Duration, host ...string) step {
	return step{after: after * time.Second, host: strings.Join(host, ""), outcome: providers.Unreachable("network", nil), who: outbox.Proven}
}

// takes is a delivery.
func takes(after time.Duration, host ...string) step {
	return fails(after, host...).with(providers.Delivered())
}

func (s step) with(o providers.Outcome) step { s.outcome = o; return s }

func (s step) by(who outbox.Standing) step { s.who = who; return s }

func (s step) old(age time.Duration) step { s.age = age; return s }

func (s step) ownSite() step { s.own = true; return s }

func (s step) proxy() step { s.outcome.Proxy = true; return s }

func TestAnAppFailsWhenNothingArrives(t *testing.T) {
	t.Parallel()
	const stranger = outbox.Stranger
	limited := providers.Limited("rate_limited", 0, nil)
	for _, tt := range []struct {
		name  string
		steps []step
		since time.Duration // when it began to fail, in seconds; -1 if it does not
	}{
		{"three failures over half a minute", []step{fails(0).by(stranger), fails(10).by(stranger), fails(20).by(stranger)}, 0},
		{"three failures in a moment", []step{fails(0), fails(1), fails(1)}, -1},
		{"trials", []step{fails(0), fails(10), fails(10), fails(10)}, 0},
		{"one a second", slices.Repeat([]step{fails(1)}, 40), 1},
		{"since the first of many", []step{fails(5), fails(20), fails(20), fails(20)}, 5},
		{"two failures", []step{fails(0), fails(60).old(time.Minute)}, -1},
		{"one failure of an old push", []step{fails(0).old(31 * time.Minute)}, -1},
		{"two failures of an old push", []step{fails(0).old(31 * time.Minute).by(stranger), fails(60).old(32 * time.Minute).by(stranger)}, 0},
		{"two failures of an old push, while others are delivered", []step{
			fails(0).old(31 * time.Minute), takes(1), fails(1).old(31 * time.Minute), fails(60).old(32 * time.Minute),
		}, -1},
		{"rate limits", []step{fails(0).with(limited), fails(20).with(limited), fails(20).with(limited)}, -1},
		{"rate limits of an old push", []step{fails(0).with(limited).old(31 * time.Minute), fails(60).with(limited).old(32 * time.Minute)}, -1},
		{"bounds of ours", []step{fails(0).with(turnedAway()), fails(20).with(turnedAway()), fails(20).with(turnedAway())}, -1},
		{"a delivery in between", []step{fails(0), takes(20), fails(20), fails(20)}, -1},
		{"a delivery at the end", []step{fails(0), fails(20), fails(20), takes(1)}, -1},
		{"a verdict about a pushkey at the end", []step{fails(0), fails(20), fails(20), fails(1).with(providers.Rejected("gone"))}, -1},
		{"failures with a day in between", []step{fails(0), fails(20), fails(90_000), fails(10)}, -1},
		{"a suspicion at the end", []step{fails(0), fails(20), fails(20), fails(1).with(providers.Suspected("not_found"))}, 0},

		{"one host", []step{fails(0, "a"), fails(20, "a"), fails(20, "a")}, -1},
		{"two hosts", []step{fails(0, "a"), fails(20, "b"), fails(20, "a")}, 0},
		{"two hosts, of which one is left", append([]step{fails(0, "b")}, slices.Repeat([]step{fails(10, "a")}, 5)...), 0},
		{"two hosts, of strangers", []step{fails(0, "a").by(stranger), fails(20, "b").by(stranger), fails(20, "a").by(stranger)}, -1},
		{"two hosts, of which one failed while others worked", []step{
			fails(0, "a"), takes(1, "c"), fails(20, "a"), fails(20, "b"), fails(60, "a"), fails(60, "a"),
		}, -1},
		{"the only host of the only phone", []step{fails(0, "a"), fails(20, "a"), fails(340, "a").old(6 * time.Minute)}, 0},
		{"the only host, of a stranger", []step{
			fails(0, "a").by(stranger), fails(20, "a").by(stranger), fails(340, "a").by(stranger).old(6 * time.Minute),
		}, -1},
		{"the only host, before the first delivery", []step{
			fails(0, "a").by(never), fails(20, "a").by(never), fails(340, "a").by(never).old(6 * time.Minute),
		}, 0},
		{"a host that failed while others worked", []step{
			fails(0, "a"), takes(1, "c"), fails(360, "a").old(6 * time.Minute), fails(360, "a").old(12 * time.Minute),
		}, -1},

		{"the operator's own", []step{
			fails(0, "a").ownSite().by(stranger), fails(20, "a").ownSite().by(stranger), fails(20, "a").ownSite().by(stranger),
		}, 0},
		{"the operator's own, while others work", []step{
			fails(0, "a").ownSite(), takes(20, "c"), fails(20, "a").ownSite(), takes(1, "c"), fails(1, "a").ownSite(),
		}, 0},
		{"the operator's own, fixed", []step{
			fails(0, "a").ownSite(), fails(20, "a").ownSite(), fails(20, "a").ownSite(), takes(1, "a").ownSite(),
		}, -1},
		{"the operator's proxy, by a stranger", []step{
			fails(0, "a").proxy().by(stranger), fails(20, "a").proxy().by(stranger), fails(20, "a").proxy().by(stranger),
		}, 0},
		{"the operator's proxy, while the own push server works", []step{
			fails(0, "a").proxy(), takes(20, "o").ownSite(), fails(20, "a").proxy(), fails(20, "a").proxy(),
		}, 0},
		{"the operator's proxy, fixed", []step{
			fails(0, "a").proxy(), fails(20, "a").proxy(), fails(20, "a").proxy(), takes(1, "b").by(stranger),
		}, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			now := begin
			h := newHosts()
			var failed bool
			for _, s := range tt.steps {
				now = now.Add(s.after)
				v := verdict{outcome: s.outcome, own: s.own, standing: s.who, delivered: s.who != never, accepted: now.Add(-s.age)}
				switch h.health.note(h.of(s.host), &v, now) {
				case worse:
					failed = true
				case better:
					failed = false
				}
			}
			var want, got time.Time
			if tt.since >= 0 {
				want = begin.Add(tt.since * time.Second)
			}
			if f := h.health.failing(now); f != nil {
				got = f.Since
			}
			if !got.Equal(want) || failed != !want.IsZero() {
				t.Errorf("it fails since %v, want %v; the change was reported: %v", got, want, failed)
			}
			if f := h.health.failing(now.Add(forgottenAfter)); f != nil {
				t.Errorf("a day later, it fails since %v", f.Since)
			}
		})
	}
}

// slowly returns a gateway with an outbox that retries pushes as late as it usually does.
func slowly(t *testing.T, apps ...*App) (r *rig, stop func()) {
	t.Helper()
	r = newRig(t, apps...)
	r.use(openFile(t, filepath.Join(t.TempDir(), "outbox.db")))
	r.Jitter = jittered
	return r, r.works()
}

// The newcomer's report P3: one push was pending for 31 minutes, and everything said that the gateway was fine.
func TestAnAppThatDeliversNothingSaysSoForASinglePhone(t *testing.T) {
	t.Parallel()
	down, proxy := providers.Unreachable("dns", nil), providers.Unreachable("network", nil)
	proxy.Proxy = true
	own := providers.Site{Host: "push.test", Port: "443"}
	for _, tt := range []struct {
		name    string
		chosen  bool
		site    providers.Site
		before  bool // the phone was delivered to before
		outcome providers.Outcome
		within  time.Duration
		want    Failing
	}{
		{"the service that the operator chose", false, own, false, down, 2 * time.Minute, Failing{Reason: "dns"}},
		{"that service behind a dead proxy", false, own, false, proxy, 2 * time.Minute, Failing{Reason: "network", Proxy: true}},
		{"the site's own push server", true, own, false, down, 2 * time.Minute, Failing{Reason: "dns", Host: "push.test:443"}},
		{"a dead proxy", true, providers.Site{}, false, proxy, 2 * time.Minute, Failing{Reason: "network", Proxy: true}},
		{"another push server, for a phone that was delivered to", true, providers.Site{}, true, down, 10 * time.Minute, Failing{Reason: "dns"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newOutage(tt.outcome)
				var provider providers.Provider = p
				if tt.chosen {
					provider = byHost{p}
				}
				r, stop := slowly(t, appFor("app", provider))
				defer stop()
				r.site = tt.site
				phone := device("push.test:443/phone")
				if tt.before {
					p.fixed.Store(true)
					r.notify(event("$before", phone))
					time.Sleep(time.Second)
					p.fixed.Store(false)
				}
				r.notify(event("$1", phone))
				time.Sleep(tt.within)
				status := r.Status(t.Context())
				why := status[0].FailingWhy
				if why == nil || status[0].Failing == nil || why.Reason != tt.want.Reason || why.Host != tt.want.Host || why.Proxy != tt.want.Proxy {
					t.Fatalf("it fails: %+v, want %+v", why, tt.want)
				}
				d := r.Degradations(status)
				if len(d) != 1 || d[0].Reason != "failing" || d[0].Detail != tt.want.Reason || d[0].Host != tt.want.Host || d[0].Since == nil {
					t.Errorf("degraded is %+v", d)
				}
				p.fixed.Store(true)
				time.Sleep(10 * time.Minute) // the next attempt, at the latest
				status = r.Status(t.Context())
				if d := r.Degradations(status); len(d) != 0 || status[0].Failing != nil {
					t.Errorf("after the delivery, degraded is %+v", d)
				}
				want := []string{"app fails: app " + tt.want.Reason + " " + tt.want.Host, "app works: app"}
				if saw := r.saw.seen(); !slices.Equal(saw, want) {
					t.Errorf("the observer saw %q, want %q", saw, want)
				}
			})
		})
	}
}

// A push service may ask for an hour of silence. Nobody notices that by attempts.
func TestAPushThatIsPendingForLongIsNoticedWithoutAnAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		later := providers.Retry("http_503", time.Hour, nil)
		p := newOutage(later)
		r, stop := slowly(t, appFor("app", p))
		defer stop()
		r.notify(event("$1", device("key")))
		time.Sleep(staleAfter - time.Second)
		if saw := r.saw.seen(); len(saw) != 0 || r.Status(t.Context())[0].Failing != nil {
			t.Errorf("the observer saw %q too early", saw)
		}
		time.Sleep(healthTick + 2*time.Second)
		if saw := r.saw.seen(); !slices.Equal(saw, []string{"app fails: app http_503 "}) || r.Status(t.Context())[0].Failing == nil {
			t.Errorf("the observer saw %q", saw)
		}
		wantPushes(t, p.scripted, 1)
		p.fixed.Store(true)
		time.Sleep(time.Hour + time.Minute)
		if saw := r.saw.seen(); len(saw) != 2 || saw[1] != "app works: app" || r.Status(t.Context())[0].Failing != nil {
			t.Errorf("the observer saw %q", saw)
		}
	})
}

// A restart forgets the attempts, but not the push.
func TestAnOldPushIsSeenWithinMinutesAfterAStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Unreachable("dns", nil))
		r, stop := slowly(t, appFor("app", byHost{p}))
		p.fixed.Store(true)
		r.notify(event("$before", device("far.test:443/phone")))
		time.Sleep(time.Second)
		p.fixed.Store(false)
		r.notify(event("$1", device("far.test:443/phone")))
		time.Sleep(time.Minute)
		stop()
		r.Shared.Drain(t.Context())
		time.Sleep(30 * time.Minute)

		again := newRig(t, appFor("app", byHost{p}))
		again.Jitter = r.Jitter
		again.use(r.Outbox)
		again.Recall(t.Context())
		defer again.works()()
		time.Sleep(3 * time.Minute)
		if again.Status(t.Context())[0].Failing == nil {
			t.Errorf("a push that is 34 minutes old, after 3 minutes and %d attempts", len(p.asked()))
		}
	})
}

func TestWhatIsHeldWithoutAFaultIsNotFailing(t *testing.T) {
	t.Parallel()
	blocked, throttled := providers.Blocked("blocked", nil), providers.Limited("rate_limited", time.Minute, nil)
	for name, o := range map[string]providers.Outcome{
		"a rate limit": throttled, "a limit of ours": providers.Busy("app_busy", nil), "a suspicion": providers.Suspected("not_found"),
		"settings that block it": blocked, "refused credentials": providers.Misconfigured("http_403", nil),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newOutage(o)
				p.fixed.Store(true)
				r, stop := keeping(t, appFor("app", p))
				defer stop()
				r.notify(event("$before", device("key")))
				p.fixed.Store(false)
				r.notify(event("$1", device("key")))
				time.Sleep(30 * time.Minute)
				if s := r.Status(t.Context())[0]; s.Failing != nil || s.Outbox == nil || s.Outbox.Oldest == nil {
					t.Errorf("it fails since %v, with the outbox %+v", s.Failing, s.Outbox)
				}
			})
		})
	}
}
