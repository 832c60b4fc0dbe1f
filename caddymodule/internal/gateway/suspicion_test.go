package gateway

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/file"
	"github.com/matrix-push/caddy-matrix-push/rejected/redis"
)

// missing is a provider whose host answers 404 to the devices that are missing.
type missing struct {
	*scripted
	mu  sync.Mutex
	who map[string]bool
}

func newMissing(who ...string) *missing {
	m := &missing{who: make(map[string]bool)}
	for _, pushkey := range who {
		m.who[pushkey] = true
	}
	m.scripted = &scripted{script: func(_ context.Context, p *providers.Push) providers.Outcome {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.who[p.Device.Pushkey] {
			return providers.Suspected("not_found")
		}
		return providers.Delivered()
	}}
	return m
}

func (m *missing) back() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.who)
}

// trio is an app with three devices at one host.
var trio = []string{"host/a", "host/b", "host/c"}

// gateways returns the gateways of a scene.
type gateways func(t *testing.T, app func() *App) []*rig

// One gateway with an outbox, one without, or two that share the rejected store, each of which gets every other event.
var scenes = map[string]gateways{
	"one gateway": func(t *testing.T, app func() *App) []*rig {
		r, _ := keeping(t, app())
		return []*rig{r}
	},
	"one without an outbox": func(t *testing.T, app func() *App) []*rig { return []*rig{newRig(t, app())} },
	"two on one store": func(t *testing.T, app func() *App) []*rig {
		store := &sharedStore{memoryStore: &memoryStore{records: make(map[rejected.Key]rejected.Record)}}
		var rigs []*rig
		for range 2 {
			r := newRig(t, app())
			r.Options.Rejected, r.store = store, store.memoryStore
			r.Gateway = New(r.Options)
			rigs = append(rigs, r)
		}
		return rigs
	},
}

// sharedStore is a store that several gateways share.
type sharedStore struct {
	*memoryStore
	hosts map[rejected.Key]time.Time
}

func (s *sharedStore) Delivered(_ context.Context, host rejected.Key, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hosts == nil {
		s.hosts = make(map[rejected.Key]time.Time)
	}
	s.hosts[host] = at
	return nil
}

func (s *sharedStore) LastDelivered(_ context.Context, host rejected.Key) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hosts[host], nil
}

// converse sends each device an event a minute, and returns which were rejected.
func converse(rigs []*rig, minutes int, devices []string) (rejected []string) {
	named := make(map[string]bool)
	for minute := range minutes {
		for i, pushkey := range devices {
			r := rigs[(minute+i)%len(rigs)]
			answer := r.notify(event(fmt.Sprint("$", time.Now().Unix(), pushkey), device(pushkey)))
			if strings.Contains(answer, pushkey) {
				named[pushkey] = true
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
	}
	return slices.Sorted(maps.Keys(named))
}

// Ten of ten pushers were once lost to a proxy that answered 404 for five seconds.
func TestAHostThatSays404ToAllOfItsDevicesRejectsNobody(t *testing.T) {
	t.Parallel()
	for name, scene := range scenes {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := newMissing()
				rigs := scene(t, func() *App { return appFor("app", byHost{m}) })
				converse(rigs, 5, trio) // so they were delivered to
				m.mu.Lock()
				for _, pushkey := range trio {
					m.who[pushkey] = true
				}
				m.mu.Unlock()
				if got := converse(rigs, 30, trio); len(got) != 0 {
					t.Errorf("rejected are %q", got)
				}
				if s := rigs[0].Status(t.Context())[0]; s.Suspected == 0 {
					t.Errorf("the status is %+v", s)
				}
				m.back()
				before := len(m.asked())
				if got := converse(rigs, 45, trio); len(got) != 0 {
					t.Errorf("rejected are %q", got)
				}
				for _, pushkey := range trio {
					if len(m.since(before, pushkey)) < 10 {
						t.Errorf("%s got %d pushes", pushkey, len(m.since(before, pushkey)))
					}
				}
				if n := len(rigs[0].store.records); n != 0 {
					t.Errorf("%d records are left", n)
				}
			})
		})
	}
}

func TestADeviceThatIsMissingWhileOthersAreThereIsDeadAfterTenMinutes(t *testing.T) {
	t.Parallel()
	for name, scene := range scenes {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := newMissing("host/b")
				rigs := scene(t, func() *App { return appFor("app", byHost{m}) })
				if got := converse(rigs, 10, trio); len(got) != 0 {
					t.Errorf("rejected after ten minutes are %q", got)
				}
				if got := converse(rigs, 3, trio); !slices.Equal(got, []string{"host/b"}) {
					t.Errorf("rejected are %q", got)
				}
				if looks := len(m.since(0, "host/b")); looks > 5 {
					t.Errorf("it was looked at %d times", looks)
				}
				if got := converse(rigs, 60, trio); !slices.Equal(got, []string{"host/b"}) {
					t.Errorf("rejected are %q", got)
				}
			})
		})
	}
}

func TestTheOnlyDeviceAtItsHostIsDeadAfterADay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMissing("host/a")
		r, _ := keeping(t, appFor("app", byHost{m}))
		for hour := range 26 {
			got := r.notify(event(fmt.Sprint("$", hour), device("host/a")))
			if dead := got != "[]"; dead != (hour > 24) {
				t.Errorf("after %d hours it is answered %s", hour, got)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
		}
	})
}

func TestASuspicionEndsWithADelivery(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMissing("host/a")
		r, _ := keeping(t, appFor("app", byHost{m}))
		wantLine(t, r.notify(event("$1", device("host/a"))), `[]`)
		if s := r.Status(t.Context())[0]; s.Suspected != 1 {
			t.Errorf("the status is %+v", s)
		}
		m.back()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		wantPushes(t, m.scripted, 2)
		if s := r.Status(t.Context())[0]; s.Suspected != 0 || len(r.store.records) != 0 {
			t.Errorf("the status is %+v, on record are %d", s, len(r.store.records))
		}
	})
}

func TestASuspectedDeviceIsNotLookedAtForEachEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMissing("host/a")
		r := newRig(t, appFor("app", byHost{m})) // the homeserver sends it again when it is asked to
		wantLine(t, r.notify(event("$1", device("host/a"))), `503 after 1m0s`)
		wantLine(t, r.notify(event("$2", device("host/a"))), `503 after 1m0s`)
		time.Sleep(40 * time.Second)
		wantLine(t, r.notify(event("$1", device("host/a"))), `503 after 20s`)
		wantPushes(t, m.scripted, 1)
		time.Sleep(20 * time.Second)
		wantLine(t, r.notify(event("$1", device("host/a"))), `503 after 2m0s`)
		wantPushes(t, m.scripted, 2)
	})
}

func TestASuspicionThatCannotBeRecordedDoesNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMissing("host/a")
		r := newRig(t, appFor("app", byHost{m}))
		r.store.failNext = errBroken
		wantLine(t, r.notify(event("$1", device("host/a"))), `503 after 1m0s`)
		if !slices.Equal(r.saw.reported(), []string{"recording a suspicion"}) {
			t.Errorf("the observer saw %q", r.saw.reported())
		}
	})
}

func TestTheFuseHoldsWhatSuspicionsProve(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var many []string
		for i := range 22 {
			many = append(many, fmt.Sprint("host/", i))
		}
		m := newMissing(many...)
		r, _ := keeping(t, appFor("app", byHost{m}))
		r.Fuse = FuseOptions{Share: 0.5, Window: 10 * time.Minute}
		if got := converse([]*rig{r}, 13, append(many, "host/alive")); len(got) >= fuseMin {
			t.Errorf("%d are rejected", len(got))
		}
		synctest.Wait()
		if n := r.verdicts(); n != 0 {
			t.Errorf("%d verdicts are on record", n)
		}
	})
}

// verdicts returns how many pushkeys are on record as dead.
func (r *rig) verdicts() (n int) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	for _, record := range r.store.records {
		if record.Verdicts > 0 {
			n++
		}
	}
	return n
}

// moduleStore is a rejected store that is a Caddy module.
type moduleStore interface {
	rejected.Store
	caddy.Provisioner
	caddy.CleanerUpper
	rejected.Opener
}

// openStore opens a rejected store; it is closed when the test ends.
func openStore(t *testing.T, store moduleStore) rejected.Store {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := store.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Cleanup() })
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// The file is copied while it is open, as a kill leaves it. Everything in memory is lost.
func TestASuspicionCountsOverAKill(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ missing, want []string }{
		"one of three is missing": {[]string{"host/b"}, []string{"host/b"}},
		"all are":                 {trio, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := newMissing(tt.missing...)
				path := filepath.Join(t.TempDir(), "rejected.db")
				start := func() *rig {
					r := newRig(t, appFor("app", byHost{m}))
					r.Options.Rejected = openStore(t, &file.Store{Path: path})
					r.Gateway = New(r.Options)
					return r
				}
				if got := converse([]*rig{start()}, 6, trio); len(got) != 0 {
					t.Errorf("rejected after six minutes are %q", got)
				}
				killed, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				path = filepath.Join(t.TempDir(), "rejected.db")
				if err := os.WriteFile(path, killed, 0o600); err != nil {
					t.Fatal(err)
				}
				if got := converse([]*rig{start()}, 7, trio); !slices.Equal(got, tt.want) {
					t.Errorf("rejected are %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// onOneRedis returns two gateways that share a Redis.
func onOneRedis(t *testing.T, url string, m *missing) (rigs []*rig) {
	for _, options := range []string{"?read_timeout=5s", "?read_timeout=6s"} { // otherwise they would share memory
		r := newRig(t, appFor("app", byHost{m}))
		r.Options.Rejected = openStore(t, &redis.Store{Address: redisclient.Address{URL: url + options}})
		r.Gateway = New(r.Options)
		rigs = append(rigs, r)
	}
	return rigs
}

// Each gateway gets every other event of a device, and each knows what the other finds out.
func TestTwoGatewaysOnOneRedisJudgeTogether(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ missing, want []string }{
		"one of three is missing": {[]string{"host/b"}, []string{"host/b"}},
		"all are":                 {trio, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			synctest.Test(t, func(t *testing.T) {
				m := newMissing(tt.missing...)
				rigs := onOneRedis(t, server.URL, m)
				if got := converse(rigs, 9, trio); len(got) != 0 {
					t.Errorf("rejected after nine minutes are %q", got)
				}
				if got := converse(rigs, 4, trio); !slices.Equal(got, tt.want) {
					t.Errorf("rejected are %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// One gateway gets the events of the missing device, and another one those of a device at the same host that exists.
func TestWhatAnotherGatewayDeliversProvesASuspicion(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	synctest.Test(t, func(t *testing.T) {
		rigs := onOneRedis(t, server.URL, newMissing("host/b"))
		for minute := 0; minute < 14; minute += 2 {
			named := converse(rigs[:1], 1, trio[1:2])
			if dead := minute >= 10; len(named) > 0 != dead {
				t.Errorf("named in minute %d: %q", minute, named)
			}
			converse(rigs[1:], 1, trio[:1])
		}
	})
}
