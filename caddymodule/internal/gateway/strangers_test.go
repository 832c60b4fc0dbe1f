package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// answers is a provider whose devices' pushkeys are host/answer/anything, so the devices choose their answers.
func answers(t *testing.T) (byHost, *scripted) {
	t.Helper()
	p := &scripted{script: func(ctx context.Context, p *providers.Push) providers.Outcome {
		switch strings.Split(p.Device.Pushkey, "/")[1] {
		case "201":
			return providers.Delivered()
		case "302":
			return providers.Retry("redirect", 0, nil)
		case "403":
			return providers.Misconfigured("http_403", nil)
		case "429":
			return providers.Limited("rate_limited", 0, nil)
		case "503":
			return providers.Retry("server_error", 0, nil)
		case "slow":
			<-ctx.Done()
			return providers.Unreachable("timeout", ctx.Err())
		case "busy":
			return providers.Busy("host_busy", nil)
		default:
			return providers.Unreachable("network", nil)
		}
	}}
	return byHost{p}, p
}

// asked returns how often a provider got pushes for pushkeys with a prefix.
func asked(p *scripted, prefix string) (n int) {
	for _, push := range p.asked() {
		if strings.HasPrefix(push.Device.Pushkey, prefix) {
			n++
		}
	}
	return n
}

func jittered(d time.Duration) time.Duration { return d / 2 }

// Finding 1: after 25 requests, others' pushes on the same host came nine minutes late.
func TestAStrangerDoesNotCloseAHostThatOthersUse(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"302", "403", "429", "503", "slow", "busy", "network"} {
		t.Run(answer, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p, saw := answers(t)
				r, _ := keeping(t, appFor("app", p))
				r.Jitter = jittered
				wantLine(t, r.notify(event("$before", device("shared/201/victim"))), `[]`)
				time.Sleep(2 * breakerWindow) // a quiet host: no delivery shows that it works
				for i := range 25 {
					var devices []string
					for j := range 12 {
						devices = append(devices, device(fmt.Sprint("shared/", answer, "/", i, "-", j)))
					}
					go r.notify(event(fmt.Sprint("$", i), devices...))
					time.Sleep(time.Second)
				}
				for i := range 15 {
					before := asked(saw, "shared/201/")
					go r.notify(event(fmt.Sprint("$victim", i), device("shared/201/victim")))
					time.Sleep(2 * time.Second)
					synctest.Wait()
					if asked(saw, "shared/201/") != before+1 {
						t.Errorf("the victim's push %d did not go out", i)
					}
				}
				if open := r.Router.Apps()[0].hosts.isOpen("shared"); open {
					t.Error("the host is kept off")
				}
			})
		})
	}
}

func TestAHostThatIsDownForThoseItTookPushesForIsKeptOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Retry("server_error", 0, nil))
		p.fixed.Store(true)
		r, _ := keeping(t, appFor("app", byHost{p}))
		for i := range breakerMin {
			wantLine(t, r.notify(event("$before", device(fmt.Sprint("h/", i)))), `[]`)
		}
		time.Sleep(2 * breakerWindow)
		p.fixed.Store(false)
		for i := range breakerMin {
			wantLine(t, r.notify(event("$e", device(fmt.Sprint("h/", i)))), `[]`)
		}
		if !r.Router.Apps()[0].hosts.isOpen("h") {
			t.Error("it is not")
		}
	})
}

// A host that never took a push, and refuses all, is asked once for each push. A push that it takes opens it for all.
func TestAHostThatRefusesStrangersTakesANewcomersPush(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"302", "403", "429", "503"} {
		t.Run(answer, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p, saw := answers(t)
				r, _ := keeping(t, appFor("app", p))
				r.Jitter = jittered
				var refused []string
				for i := range 100 {
					refused = append(refused, device(fmt.Sprint("host/", answer, "/", i)))
				}
				wantLine(t, r.notify(event("$e", refused...)), `[]`)
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if !r.Router.Apps()[0].hosts.isOpen("host") {
					t.Error("what was refused is not kept off")
				}
				if n := asked(saw, "host/"+answer); n > 150 {
					t.Errorf("asked %d times for 100 pushes", n)
				}
				wantLine(t, r.notify(event("$new", device("host/201/newcomer"))), `[]`)
				synctest.Wait()
				if n := asked(saw, "host/201"); n != 1 || r.Router.Apps()[0].hosts.isOpen("host") {
					t.Errorf("the newcomer was asked for %d times", n)
				}
			})
		})
	}
}

// While a host is down, a stranger's pushes use up none of the trials that others need.
func TestAStrangersPushIsNoTrialWhileAnothersMayBe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Unreachable("network", nil))
		p.fixed.Store(true)
		r, _ := keeping(t, appFor("app", byHost{p}))
		r.Jitter = func(d time.Duration) time.Duration { return d }
		for i := range breakerMin + 1 {
			wantLine(t, r.notify(event("$before", device(fmt.Sprint("h/", i)))), `[]`)
		}
		time.Sleep(2 * breakerWindow)
		p.fixed.Store(false)
		for i := range breakerMin + 1 {
			wantLine(t, r.notify(event("$e", device(fmt.Sprint("h/", i)))), `[]`)
		}
		before := len(p.asked())
		for i := range 300 { // strangers come all the time
			go r.notify(event("$s", device(fmt.Sprint("h/stranger", i))))
			time.Sleep(time.Second)
		}
		trials := p.asked()[before:]
		for _, push := range trials {
			if strings.Contains(push.Device.Pushkey, "stranger") {
				t.Fatal("a stranger's push was a trial")
			}
		}
		if len(trials) < 25 {
			t.Errorf("%d trials in five minutes", len(trials))
		}
	})
}

func TestATrialIsForWhomAHostIsKnownToTakePushesFor(t *testing.T) {
	t.Parallel()
	h, now := newHosts(), time.Now()
	h.attemptAt("host", "known", providers.Delivered(), now)
	now = now.Add(2 * breakerWindow)
	for range breakerMin {
		h.attemptAt("host", "known", providers.Unreachable("network", nil), now)
	}
	now = now.Add(breakerPause)
	if d := h.admit("host", applicant{standing: outbox.Guest}, now); !d.turnedAway {
		t.Error("a guest's push is the trial")
	}
	if d := h.admit("host", applicant{standing: outbox.Guest}, now.Add(breakerPause)); !d.trial {
		t.Error("with no other push for ten seconds, a guest's is not a trial")
	}
	now = now.Add(2 * breakerPause)
	if d := h.admit("host", applicant{standing: outbox.Proven}, now); !d.trial {
		t.Error("a push of a device that took one before is not a trial")
	}
}

// Finding 1: a stranger's pending pushes became nearly all of the trials, and others' pushes waited for minutes after the host was
// back.
func TestAStrangersPendingPushesAreNotTrials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Unreachable("network", nil))
		p.fixed.Store(true)
		r, _ := keeping(t, appFor("app", byHost{p}))
		r.Jitter = jittered
		for i := range 100 {
			wantLine(t, r.notify(event("$before", device(fmt.Sprint("h/", i)))), `[]`)
		}
		time.Sleep(2 * breakerWindow)
		p.fixed.Store(false)
		var strangers []string
		for i := range 500 {
			strangers = append(strangers, device(fmt.Sprint("h/stranger", i)))
		}
		r.notify(event("$s", strangers...))
		for i := range 2 * breakerMin { // none of the devices that were delivered to last
			wantLine(t, r.notify(event("$e", device(fmt.Sprint("h/", i)))), `[]`)
		}
		time.Sleep(time.Hour)
		before := len(p.asked())
		p.fixed.Store(true)
		time.Sleep(breakerPause + 2*time.Second)
		synctest.Wait()
		got := 0
		for _, push := range p.asked()[before:] {
			if !strings.Contains(push.Device.Pushkey, "stranger") {
				got++
			}
		}
		if got != 2*breakerMin {
			t.Errorf("%d of %d pushes came within %s", got, 2*breakerMin, breakerPause+2*time.Second)
		}
	})
}

// Finding 8: a day with 400 to 580 requests for each push of 54 bytes.
func TestAPushThatIsRefusedIsGivenUpWhereTheDeviceNeverTookOne(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"302", "403", "429", "503"} {
		for _, host := range []string{"unknown", "known"} {
			t.Run(answer+" of a host that is "+host, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					p, saw := answers(t)
					r, _ := keeping(t, appFor("app", p))
					r.Jitter = jittered
					if host == "known" {
						r.notify(event("$before", device("host/201/known")))
					}
					var devices []string
					for i := range 100 {
						devices = append(devices, device(fmt.Sprint("host/", answer, "/", i)))
					}
					r.notify(event("$e", devices...))
					time.Sleep(25 * time.Hour)
					synctest.Wait()
					times := map[string]int{}
					for _, push := range saw.asked() {
						if strings.HasPrefix(push.Device.Pushkey, "host/"+answer) {
							times[push.Device.Pushkey]++
						}
					}
					for pushkey, n := range times {
						if n > 12 {
							t.Errorf("%s was asked for %d times", pushkey, n)
						}
					}
					if depths, _, _ := r.depths(t.Context()); len(depths) != 0 {
						t.Errorf("pending are %+v", depths)
					}
					given := 0
					for _, a := range r.attempts() {
						if a.Outcome.Reason == "given_up" {
							given++
						}
					}
					if host == "known" && given != 100 {
						t.Errorf("%d were given up, and nothing else could end them", given)
					}
				})
			})
		}
	}
}

func TestAPushThatIsRefusedIsKeptWhereTheDeviceTookOneBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Limited("rate_limited", 0, nil))
		p.fixed.Store(true)
		r, _ := keeping(t, appFor("app", byHost{p}))
		r.Jitter = func(d time.Duration) time.Duration { return d }
		r.notify(event("$before", device("h/known")))
		p.fixed.Store(false)
		r.notify(event("$e", device("h/known")))
		time.Sleep(20 * time.Hour)
		p.fixed.Store(true)
		before := len(p.asked())
		if before < 100 {
			t.Errorf("it was tried %d times in 20 hours", before)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		wantPushes(t, p.scripted, before+1)
	})
}

// An hour's outage of a new push server loses no push of its first users.
func TestTenAttemptsAtAnUnknownDeviceTakeAboutAnHour(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Retry("server_error", 0, nil))
		r, _ := keeping(t, appFor("app", byHost{p}))
		r.Jitter = jittered
		r.notify(event("$e", device("h/new")))
		time.Sleep(30 * time.Minute)
		p.fixed.Store(true)
		before := len(p.asked())
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		wantPushes(t, p.scripted, before+1)
	})
}

// Thousands of new devices of a working push server are not an attack: a push that finds no place is retried as soon as there is one.
func TestNewcomersOfAKnownHostComeWhenThereIsRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := after(50*time.Millisecond, providers.Delivered())
		app := appFor("app", byHost{p})
		app.Wait = 0
		r, _ := keeping(t, app)
		r.Jitter = func(d time.Duration) time.Duration { return d }
		r.notify(event("$before", device("host/known")))
		time.Sleep(time.Second)
		for i := range 3 {
			var devices []string
			for j := range 1000 {
				devices = append(devices, device(fmt.Sprint("host/new", i, "-", j)))
			}
			go r.notify(event("$e", devices...))
		}
		time.Sleep(7 * time.Second)
		synctest.Wait()
		wantPushes(t, p, 3001)
	})
}

// Finding 6: slow endpoints on made-up hosts took all of the app's places, and others' pushes came half a minute late.
func TestSlowEndpointsOnThousandsOfHostsDelayNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, saw := answers(t)
		app := appFor("app", p)
		app.Wait = 0
		r, _ := keeping(t, app)
		r.Jitter = jittered
		for i := range 8 {
			wantLine(t, r.notify(event("$before", device(fmt.Sprintf("healthy%d.example/201/victim", i)))), `[]`)
		}
		for i := range 40 {
			var devices []string
			for j := range 100 {
				devices = append(devices, device(fmt.Sprintf("11.%d.%d.1:443/slow/x", i, j)))
			}
			go r.notify(event(fmt.Sprint("$", i), devices...))
			time.Sleep(700 * time.Millisecond)
			before := asked(saw, "healthy")
			go r.notify(event(fmt.Sprint("$victim", i), device(fmt.Sprintf("healthy%d.example/201/victim", i%8))))
			synctest.Wait()
			if asked(saw, "healthy") != before+1 {
				t.Errorf("after %d hosts, the victim's push waits", 100*i)
			}
		}
	})
}

func TestAStrangersAttemptHasLessTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newHanging(everyPush)
		r := newRig(t, appFor("app", byHost{p}))
		p.recovered.Store(true)
		r.notify(event("$before", device("known/1")))
		p.recovered.Store(false)
		r.notify(event("$e", device("known/1"), device("known/2"), device("unknown/1")))
		want := map[rejected.Key]time.Duration{
			rejected.KeyOf("app", "known/1"): attemptTimeout, rejected.KeyOf("app", "known/2"): attemptTimeout,
			rejected.KeyOf("app", "unknown/1"): strangerTimeout,
		}
		for _, a := range r.attempts()[1:] {
			if a.Duration != want[a.Key] {
				t.Errorf("an attempt took %s, want %s", a.Duration, want[a.Key])
			}
		}
	})
}

// The trials of strangers take no more either, when the breakers of hundreds of their hosts are open.
func TestStrangersNeverHaveMoreThanTheirPartOfTheSlots(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var now, most atomic.Int64
		var hang atomic.Bool // at first they fail at once
		p := &scripted{script: func(ctx context.Context, _ *providers.Push) providers.Outcome {
			if !hang.Load() {
				return providers.Unreachable("network", nil)
			}
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-ctx.Done()
			return providers.Unreachable("timeout", ctx.Err())
		}}
		app := appFor("app", byHost{p})
		app.Wait = 0
		r, _ := keeping(t, app)
		r.Jitter = jittered
		for i := range 40 {
			var devices []string
			for j := range 100 {
				devices = append(devices, device(fmt.Sprintf("11.0.%d.1:443/%d", (i*100+j)%150, i*100+j)))
			}
			r.notify(event(fmt.Sprint("$", i), devices...))
		}
		time.Sleep(5 * time.Second)
		if opens := app.hosts.opens.Load(); opens != 150 {
			t.Errorf("%d breakers are open", opens)
		}
		hang.Store(true)
		time.Sleep(time.Minute)
		if most.Load() != 512/8 {
			t.Errorf("%d attempts at a time, want %d", most.Load(), 512/8)
		}
	})
}

// The outbox shares its room by group and standing.
func TestTheOutboxGetsTheStandingOfAPush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newOutage(providers.Limited("rate_limited", time.Hour, nil))
		p.fixed.Store(true)
		r, _ := keeping(t, appFor("app", byHost{p}))
		r.notify(event("$before", device("push.example.org:443/known")))
		p.fixed.Store(false)
		r.notify(event("$e", device("push.example.org:443/known"), device("push.example.org:443/new"), device("9.9.9.9:443/new")))
		page, _, err := r.Gateway.box.inspector.List(t.Context(), "app", "", 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range page {
			got = append(got, w.Group+" "+w.Standing.String())
		}
		slices.Sort(got)
		if want := []string{"9.9.9.0/24 stranger", "example.org guest", "example.org proven"}; !slices.Equal(got, want) {
			t.Errorf("the outbox got %q, want %q", got, want)
		}
	})
}

func TestStrangersCallNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, _ := answers(t)
		r, _ := keeping(t, appFor("app", p))
		wantLine(t, r.notify(event("$before", device("good/201/known"))), `[]`)
		for i := range 60 { // two hosts of theirs, in an hour in which nobody else gets a message
			for _, host := range []string{"bad1", "bad2"} {
				for _, answer := range []string{"403", "503", "network"} {
					r.notify(event(fmt.Sprint("$", i), device(fmt.Sprint(host, "/", answer, "/", i%7))))
				}
			}
			time.Sleep(time.Minute)
			if f := r.Status(t.Context())[0].Failing; f != nil {
				t.Fatalf("the app fails since %s", f)
			}
		}
		for _, a := range r.attempts() {
			if a.Alarm {
				t.Fatalf("an alarm for %s", a.Outcome.Reason)
			}
		}
	})
}

// vouching is an outbox that remembers which devices were delivered to.
type vouching struct {
	*memoryBox
	mu   sync.Mutex
	keys []rejected.Key
}

func (v *vouching) Vouch(k [16]byte, _ time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys = append(v.keys, k)
}

func (v *vouching) Vouched(_ context.Context, yield func([16]byte)) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, k := range v.keys {
		yield(k)
	}
	return nil
}

func TestWhoTookAPushIsRememberedOverARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, _ := answers(t)
		r := newRig(t, appFor("app", p)).withOutbox()
		box := &vouching{memoryBox: r.box}
		r.use(box)
		for range 3 {
			r.notify(event("$before"+newID(), device("push.example.org:443/201/known")))
		}
		r.Shared.Drain(t.Context())
		if len(box.keys) != 3 {
			t.Fatalf("%d keys are written, want one for each of the device, its group and the app, once a week", len(box.keys))
		}
		r.Options.Shared = NewShared()
		r.Options.Outbox = box
		r.Gateway = New(r.Options)
		r.Recall(t.Context())
		standing := func(pushkey string) outbox.Standing {
			host := byHost{}.Host(&providers.Device{Pushkey: pushkey})
			return r.standing(&cargo{
				app: r.Router.Apps()[0], key: rejected.KeyOf("app", pushkey), host: host, group: groupOf(host), push: providers.Push{},
			})
		}
		for pushkey, want := range map[string]outbox.Standing{
			"push.example.org:443/201/known": outbox.Proven,
			"push.example.org:443/201/other": outbox.Guest,
			"more.example.org:443/201/other": outbox.Guest,
			"push.example.net:443/201/known": outbox.Stranger,
		} {
			if got := standing(pushkey); got != want {
				t.Errorf("%s is %d, want %d", pushkey, got, want)
			}
		}
		r.notify(event("$after", device("push.example.org:443/201/known")))
		r.Shared.Drain(t.Context())
		if len(box.keys) != 6 {
			t.Errorf("%d keys are written: a delivery after the restart makes it last", len(box.keys))
		}
	})
}

// late is an outbox that cannot be read at first, because its Redis is down.
type late struct {
	*vouching
	failures atomic.Int32
}

func (l *late) Vouched(ctx context.Context, yield func([16]byte)) error {
	if l.failures.Add(-1) >= 0 {
		return errors.New("redis cannot be reached")
	}
	return l.vouching.Vouched(ctx, yield)
}

func TestAnOutboxThatCannotBeReadAtTheStartIsReadAsSoonAsItCan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, _ := answers(t)
		r := newRig(t, appFor("app", p)).withOutbox()
		known := rejected.KeyOf("app", "known")
		box := &late{vouching: &vouching{memoryBox: r.box, keys: []rejected.Key{known}}}
		box.failures.Store(3)
		r.use(box)
		ctx, cancel := context.WithCancel(t.Context())
		r.Recall(ctx)
		done := make(chan struct{})
		go func() { r.recallLater(ctx); close(done) }()
		time.Sleep((1+2+4)*recallFirst - time.Second) // each time it waits twice as long
		if r.Shared.isProven(known) {
			t.Fatal("the device is known before the outbox was read")
		}
		time.Sleep(2 * time.Second)
		if !r.Shared.isProven(known) {
			t.Error("the device that got a push before the start is not known")
		}
		cancel()
		<-done
		failures := slices.DeleteFunc(r.saw.failures, func(doing string) bool { return doing != "recalling deliveries" })
		if len(failures) != 3 {
			t.Errorf("%d failures are reported, want 3", len(failures))
		}
	})
}

func TestWhoIsDeadIsNotProvenAnyMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dead := false
		p := &scripted{script: func(context.Context, *providers.Push) providers.Outcome {
			if dead {
				return providers.Rejected("gone")
			}
			return providers.Delivered()
		}}
		r := newRig(t, appFor("app", byHost{p}))
		r.notify(event("$1", device("h/x")))
		k := rejected.KeyOf("app", "h/x")
		if !r.Shared.isProven(k) {
			t.Error("it took a push")
		}
		r.Shared.Drain(t.Context())
		dead = true
		r.notify(event("$2", device("h/x")))
		if r.Shared.isProven(k) {
			t.Error("it is dead")
		}
	})
}

func TestThoseProvenAreBounded(t *testing.T) {
	t.Parallel()
	var p proven
	now := time.Now()
	for i := range 3 * maxProven {
		p.add(now, rejected.Key{1: byte(i >> 24), 2: byte(i >> 16), 3: byte(i >> 8), 4: byte(i)})
	}
	if n := len(p.young) + len(p.old); n > 2*maxProven {
		t.Errorf("%d are remembered", n)
	}
	last := rejected.Key{255}
	p.add(now, last)
	p.add(now.Add(provenFor), rejected.Key{254})
	if !p.has(last) {
		t.Error("one is forgotten too early")
	}
	p.add(now.Add(2*provenFor), rejected.Key{253})
	if p.has(last) {
		t.Error("one is never forgotten")
	}
}

func TestAHostsGroupIsWhoeverHasTheNameOrTheAddresses(t *testing.T) {
	t.Parallel()
	groups := map[string][]string{
		"":                {""},
		"example.org":     {"push.example.org:443", "example.org:8443", "a.b.example.org.:443"},
		"example.co.uk":   {"a.example.co.uk:443", "b.example.co.uk:443"},
		"me.duckdns.org":  {"me.duckdns.org:443", "push.me.duckdns.org:443"},
		"9.9.9.0/24":      {"9.9.9.9:443", "9.9.9.200:8443", "[::ffff:9.9.9.1]:443", "[64:ff9b::909:963]:443"},
		"64:ff9b:1::/48":  {"[64:ff9b:1::909:909]:443"},
		"2001:db8:1::/48": {"[2001:db8:1::1]:443", "[2001:db8:1:ffff::2]:443"},
		"localhost":       {"localhost:443"},
		"com":             {"com:443"},
	}
	for want, hosts := range groups {
		for _, host := range hosts {
			if got := groupOf(host); got != want {
				t.Errorf("%s is of %q, want %q", host, got, want)
			}
		}
	}
	if a, b := groupKey("app", "example.org"), rejected.KeyOf("app", "example.org"); slices.Equal(a[:], b[:]) {
		t.Error("a device can pass for a group")
	}
}
