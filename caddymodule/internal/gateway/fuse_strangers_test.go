package gateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// deliveredTo makes devices of an app, named by runes from i to j, known.
func (r *rig) deliveredTo(appID string, i, j rune) {
	for ; i < j; i++ {
		r.meet(appID, string(i))
	}
}

// meet makes a device known.
func (r *rig) meet(appID, pushkey string) {
	r.Shared.proven.add(time.Now(), rejected.KeyOf(appID, pushkey))
}

// numbered returns the key of a made-up device. Whoever makes it up can choose most of its bits.
func numbered(i int) (k rejected.Key) {
	binary.BigEndian.PutUint64(k[8:], uint64(i))
	return k
}

var usual = FuseOptions{Share: 0.5, Window: 10 * time.Minute}

// size returns how many pushkeys and hosts a fuse keeps.
func (f *fuse) size() (n int) {
	for _, h := range []fuseHalf{f.young, f.old} {
		n += len(h.recorded)
		for _, s := range []sample{h.known, h.strange} {
			n += len(s.verdicts) + len(s.hosts)
		}
	}
	return n + len(f.hosts) + f.changes.Len()
}

// From a review: the fuse counted no more pushkeys once it had 100,000.
func TestTheFuseSeesDeathsAfterAFloodInConstantMemory(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	f, now, n := newFuse(maxFuseKeys), time.Now(), 0
	flood := func(count int, dead func(i int) bool) {
		for i := range count {
			f.note(noted{key: numbered(n), dead: dead(i), record: true, fresh: true}, usual, now)
			n++
		}
	}
	flood(60_000, func(int) bool { return false })
	flood(60_000, func(i int) bool { return i%2 == 0 })
	if f.app.tripped() {
		t.Fatal("it tripped while most were alive")
	}
	flood(70_000, func(int) bool { return true })
	s := f.status("*")
	if s.Tripped == nil || s.Alarm != nil {
		t.Errorf("after 100,000 deaths of 190,000 the status is %+v", s)
	}
	if s.Dead < 97_000 || s.Dead > 103_000 || s.Pushkeys < 185_000 || s.Pushkeys > 195_000 {
		t.Errorf("the estimates are %d of %d", s.Dead, s.Pushkeys)
	}
	flood(1_000_000, func(i int) bool { return i%2 == 0 })
	if size := f.size(); size > maxFuseKeys+maxStrangers {
		t.Errorf("it keeps %d", size)
	}
	if grown := int64(heap()) - int64(before); grown > 16<<20 {
		t.Errorf("it takes %d bytes", grown)
	}
	runtime.KeepAlive(f)
}

func TestATripWithdrawsEveryRecordOfItsWindowHoweverManyPushkeysThereWere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
			if strings.HasPrefix(p.Device.Pushkey, "dead") {
				return providers.Rejected("gone")
			}
			return providers.Delivered()
		}}
		r := fused(t, appFor("app", p))
		r.Router.Apps()[0].fuse.most = 200
		for i := range 400 {
			r.notify(event("$e", device(fmt.Sprint("alive", i))))
		}
		recorded := 0
		for i := range 1000 {
			if got := r.notify(event("$e", device(fmt.Sprint("dead", i)))); strings.HasPrefix(got, "503") {
				break
			}
			recorded++
		}
		r.Shared.Drain(t.Context())
		if n := len(r.store.records); n != 0 || recorded < 200 || recorded > 800 {
			t.Errorf("%d of %d records are left", n, recorded)
		}
	})
}

// A host that reports all of its old devices dead trips, while every other stranger there is alive.
func TestStrangersThatAlternateDoNotHideAHostThatForgotItsDevices(t *testing.T) {
	bubble(t, func(t *testing.T) {
		forgot := false
		p := &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
			_, name, _ := strings.Cut(p.Device.Pushkey, "/")
			if strings.HasPrefix(name, "410") || forgot && strings.HasPrefix(name, "old") {
				return providers.Rejected("gone")
			}
			return providers.Delivered()
		}}
		r := fused(t, appFor("app", byHost{p}))
		attack := func(from, to int) {
			for i := from; i < to; i++ {
				r.notify(event("$e", device(fmt.Sprintf("ntfy/201-%d", i))))
				r.notify(event("$e", device(fmt.Sprintf("ntfy/410-%d", i))))
			}
		}
		for _, e := range []string{"$1", "$2"} {
			for i := range 40 {
				wantLine(t, r.notify(event(e, device(fmt.Sprint("ntfy/old", i)))), `[]`)
			}
		}
		attack(0, 500)
		if got := r.saw.seen(); len(got) != 0 {
			t.Fatalf("the attack by itself does %q", got)
		}
		forgot = true
		lost := 0
		for i := range 40 {
			if !strings.HasPrefix(r.notify(event("$3", device(fmt.Sprint("ntfy/old", i)))), "503") {
				lost++
			}
			attack(500+10*i, 510+10*i)
		}
		r.Shared.Drain(t.Context())
		if seen := r.saw.seen(); len(seen) != 1 || !strings.HasPrefix(seen[0], `fuse of "appntfy" trips at`) || !strings.HasSuffix(seen[0], "!") {
			t.Errorf("the observer saw %q", seen)
		}
		if lost > fuseMin+1 {
			t.Errorf("%d of the old devices were rejected", lost)
		}
		for i := range 40 {
			if _, err := r.store.Get(t.Context(), rejected.KeyOf("app", fmt.Sprint("ntfy/old", i))); err == nil {
				t.Errorf("the record of device %d is left", i)
			}
			if k := rejected.KeyOf("app", fmt.Sprint("ntfy/old", i)); !r.Shared.isProven(k) {
				t.Errorf("it is forgotten that device %d was delivered to", i)
			}
		}
	})
}

func TestDeathsOfStrangersNeitherHoldTheVerdictOnAKnownDeviceNorCallAnybody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
			if strings.HasPrefix(p.Device.Pushkey, "known") && p.Device.Pushkey != "known7" {
				return providers.Delivered()
			}
			return providers.Rejected("gone")
		}}
		r := fused(t, appFor("app", p))
		for i := range 10 {
			r.meet("app", fmt.Sprint("known", i))
		}
		for i := range 5 {
			r.notify(event("$e", device(fmt.Sprint("known", i))))
		}
		for i := range 50 {
			r.notify(event("$e", device(fmt.Sprint("made-up", i))))
		}
		wantLine(t, r.notify(event("$e", device("made-up"))), "503 after 1m0s")
		wantLine(t, r.notify(event("$e", device("known7"))), `["known7"]`)
		r.Shared.Drain(t.Context())
		if n := len(r.store.records); n != 1 {
			t.Errorf("%d are on record", n)
		}
		if want := []string{`fuse of "app" trips at 20`}; !slices.Equal(r.saw.seen(), want) {
			t.Errorf("the observer saw %q", r.saw.seen())
		}
		for _, a := range r.attempts() {
			if a.Alarm || a.Kind() == "doubted" {
				t.Errorf("an attempt alerts somebody: %+v", a)
			}
		}
	})
}

// There are too few known devices to trip it by themselves, as after a start: the strangers' deaths make up for that.
func TestAFewKnownDevicesAreHeldWithTheStrangersIfMostOfThemDieAsWell(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := fused(t, appFor("app", always(providers.Rejected("device_token_not_for_topic"))))
		for i := range 5 {
			r.meet("app", fmt.Sprint("key", i))
		}
		if got := r.notifyEach("app", 0, 50); got["rejected"] != fuseMin-1 {
			t.Errorf("answered %v", got)
		}
		r.Shared.Drain(t.Context())
		if n := len(r.store.records); n != 0 {
			t.Errorf("%d records are left", n)
		}
	})
}

func TestStrangersTripAndResetAFuseOnceAMinuteAtMost(t *testing.T) {
	t.Parallel()
	f, now := newFuse(maxFuseKeys), time.Now()
	for i := range fuseMin - 1 {
		f.note(noted{key: numbered(i), dead: true}, usual, now)
	}
	trips := 0
	for i := range 4 * 600 { // four a second, for ten minutes
		at := now.Add(time.Duration(i) * time.Second / 4)
		trips += len(f.note(noted{key: numbered(1000), dead: i%2 == 0}, usual, at).trips)
		f.note(noted{key: numbered(i % (fuseMin - 1)), dead: true}, usual, at)
	}
	if trips == 0 || trips > 10 {
		t.Errorf("%d trips in ten minutes", trips)
	}
}

func TestMadeUpHostsTakeLittleOfAFuseAndEvictNoneThatIsReal(t *testing.T) {
	t.Parallel()
	f, now := newFuse(maxFuseKeys), time.Now()
	f.note(noted{key: numbered(-1), host: "real", known: true}, usual, now)
	begun := f.now()
	for i := range 400_000 {
		if i == 2*maxFuseChanges*fuseMin && (f.app.tripped() || !f.changedSince(begun, "real") || f.changedSince(f.now(), "real")) {
			t.Error("with so many changes, it is sure that nothing changed for the host, or that something did since the latest of them")
		}
		f.note(noted{key: numbered(i), host: fmt.Sprint("made-up", i/fuseMin), dead: true, record: true, fresh: true}, usual, now)
	}
	if len(f.hosts) > maxFuseHosts || f.size() > 2*maxFuseKeys+maxStrangers+maxFuseHosts+maxFuseChanges {
		t.Errorf("it keeps %d, and %d hosts are tripped", f.size(), len(f.hosts))
	}
	for i := range fuseMin {
		f.note(noted{key: numbered(-2 - i), host: "real", dead: true, known: true}, usual, now)
	}
	if p := f.hosts["real"]; p.alarm.IsZero() {
		t.Errorf("the real host is %+v", p)
	}
	if !f.app.alarm.IsZero() {
		t.Error("somebody is called for the app")
	}
}

func TestASampleIsNotTheStrangersChoice(t *testing.T) {
	t.Parallel()
	s := newSample(1000)
	for i := range 64_000 {
		s.set(numbered(i), "", false, false)
	}
	if s.level < 6 || s.level > 7 || len(s.verdicts) < 400 {
		t.Errorf("of 64,000 that differ in a few bits, %d are kept at level %d", len(s.verdicts), s.level)
	}
}

// The devices of a removed app were delivered to before. Whatever strangers send as well, the operator is alerted.
func TestTheFuseOfUnknownAppsIsNeitherFilledNorMasked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := fused(t, appFor("app", always(providers.Delivered())))
		f := r.Shared.Fuses.of(unknownApps)
		for i := range 200_000 {
			f.note(noted{key: numbered(i)}, usual, time.Now())
		}
		for i := range 25 {
			r.meet("removed", fmt.Sprint("key", i))
			r.meet("app", fmt.Sprint("key", i))
		}
		r.notifyEach("app", 0, 15)
		if got := r.notifyEach("removed", 0, 25); got["503 after 1m0s"] != 25-fuseMin+1 {
			t.Errorf("answered %v", got)
		}
		if want := []string{`fuse of "" trips at 20!`}; !slices.Equal(r.saw.seen(), want) {
			t.Errorf("the observer saw %q", r.saw.seen())
		}
		if size := f.size(); size > 2*maxUnknownKeys {
			t.Errorf("it keeps %d", size)
		}
	})
}

// The review's request: 25 devices of made-up apps.
func TestMadeUpAppsCallNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := fused(t, appFor("app", always(providers.Delivered())))
		r.meet("removed", "key")
		r.meet("app", "key1")
		r.meet("app", "key2")
		r.notifyEach("app", 1, 3)
		devices := make([]string, 25)
		for i := range devices {
			devices[i] = deviceOf(fmt.Sprint("made.up", i), fmt.Sprint("key", i), 1)
		}
		wantLine(t, r.notify(event("$e", devices...)), "503 after 1m0s")
		if want := []string{`fuse of "" trips at 20`}; !slices.Equal(r.saw.seen(), want) {
			t.Errorf("the observer saw %q", r.saw.seen())
		}
		if got := r.Degradations(r.Status(t.Context())); len(got) != 0 || r.Fuses()[0].Tripped == nil {
			t.Errorf("degraded is %+v, the fuse %+v", got, r.Fuses()[0])
		}
		wantLine(t, r.notify(event("$e", deviceOf("removed", "key", 1))), `["key"]`)
	})
}

func TestStrangersFillTheRejectedStoreAtABoundedRate(t *testing.T) {
	t.Parallel()
	for name, share := range map[string]float64{"with a fuse": 0.5, "without one": 1} {
		for kind, word := range map[string]providers.Outcome{"dead": providers.Rejected("gone"), "suspected": providers.Suspected("http_404")} {
			t.Run(name+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := fused(t, appFor("app", byHost{always(word)}))
					r.Fuse.Share = share
					flood := func(n int) {
						alive := func(i int) { // so the host does not trip
							if share < 1 {
								r.Router.Apps()[0].fuse.note(noted{key: numbered(i), host: "attacker"}, r.Fuse, time.Now())
							}
						}
						for i := range 10 {
							alive(-i)
						}
						for i := range n {
							alive(n + i)
							r.notify(event("$e", device(fmt.Sprint("attacker/", n, "-", i))))
						}
					}
					flood(maxStrangers + 200)
					if n := len(r.store.records); n != maxStrangers {
						t.Errorf("%d records", n)
					}
					if kind == "dead" {
						wantLine(t, r.notify(event("$e", device("attacker/another"))), `["attacker/another"]`)
					}
					if got := r.Fuses()[1].Unrecorded; got < 200 {
						t.Errorf("%d are said to be not recorded", got)
					}
					r.meet("app", "attacker/known")
					r.notify(event("$e", device("attacker/known")))
					if _, err := r.store.Get(t.Context(), rejected.KeyOf("app", "attacker/known")); err != nil {
						t.Errorf("of a device that was delivered to before: %v", err)
					}
					time.Sleep(time.Hour)
					flood(maxStrangers + 201)
					if n := len(r.store.records); n != 2*maxStrangers+1 {
						t.Errorf("an hour later, %d records", n)
					}
				})
			})
		}
	}
}

// Anybody can make up tokens that a push service refuses, and devices on their own server that answers 403, even just after a reload.
func TestRefusalsOfMadeUpDevicesCallNobodyOnceTheAppHasDelivered(t *testing.T) {
	t.Parallel()
	doubtful := providers.Outcome{Kind: providers.KindRejected, Reason: "bad_device_token", Doubtful: true}
	for _, tt := range []struct {
		name     string
		word     providers.Outcome
		pushkeys string
	}{
		{"doubts of made-up tokens", doubtful, "made-up"},
		{"403 of their own host", providers.Misconfigured("http_403", nil), "attacker/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wrong := false
				p := &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
					if strings.HasPrefix(p.Device.Pushkey, "honest") && !wrong {
						return providers.Delivered()
					}
					return tt.word
				}}
				app := appFor("app", p)
				if strings.HasSuffix(tt.pushkeys, "/") {
					app = appFor("app", byHost{p})
				}
				r := fused(t, app)
				alarms := func(pushkey string) (alarms int) {
					before := len(r.attempts())
					for i := range 5 {
						r.notify(event(fmt.Sprint("$", before), device(fmt.Sprint(pushkey, i))))
					}
					for _, a := range r.attempts()[before:] {
						if a.Alarm {
							alarms++
						}
					}
					return alarms
				}
				app.proven.Store(false)
				if alarms(tt.pushkeys) == 0 {
					t.Error("before anything was delivered, the operator is not alerted")
				}
				alarms("honest/")
				app.proven.Store(false)
				r.Gateway = New(r.Options) // a reload
				if n := alarms(tt.pushkeys); n != 0 {
					t.Errorf("%d alarms for made-up devices", n)
				}
				wrong = true
				if alarms("honest/") == 0 {
					t.Error("when devices that were delivered to are refused, the operator is not alerted")
				}
			})
		})
	}
}
