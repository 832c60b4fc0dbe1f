package tenancy

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errNotOpen = errors.New("not open")

// fake is a resource that records its events.
type fake struct {
	*Tenancy
	pool     *caddy.UsagePool
	mu       sync.Mutex
	fail     error // the error of opening it
	unready  error // the error of getting ready afterwards
	events   []string
	settings string

	used atomic.Int64 // how many are in Enter
}

// config is a configuration as Caddy has it.
type config struct {
	*fake
	name string
	log  *slog.Logger
	text strings.Builder
}

const key = "key"

func newPool() *fake { return &fake{pool: caddy.NewUsagePool()} }

// provision is what Caddy does first.
func (f *fake) provision(name string) *config {
	f.Tenancy = joined(f)
	c := &config{fake: f, name: name}
	c.log = slog.New(slog.NewTextHandler(&c.text, nil))
	return c
}

func joined(f *fake) *Tenancy {
	t, _ := Join(f.pool, key, func() *Tenancy {
		return New(f.pool, key, Resource{
			Open: func() error {
				f.note("open")
				f.Log().Info("opened")
				return f.fail
			},
			Background: []func(context.Context){func(ctx context.Context) {
				<-ctx.Done()
				f.note("background ends")
				if err := f.Enter(func() error { return nil }); err != nil {
					f.note("too late")
				}
			}},
			Ready: func(context.Context) error { return f.unready },
			Close: func() error {
				if f.used.Load() != 0 {
					f.note("in use")
				}
				f.note("close")
				return nil
			},
			NotOpen: errNotOpen,
		})
	})
	return t
}

func (f *fake) note(event string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, event)
}

// work uses the resource until end is called.
func (f *fake) work(t *testing.T) (end func()) {
	t.Helper()
	begun, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- f.Enter(func() error {
			f.used.Add(1)
			defer f.used.Add(-1)
			close(begun)
			<-goOn
			return nil
		})
	}()
	<-begun
	return func() {
		t.Helper()
		close(goOn)
		if err := <-ended; err != nil {
			t.Errorf("what was under way: %v", err)
		}
	}
}

// waitForClosing waits until nobody gets in any more, while the resource is used.
func (f *fake) waitForClosing() {
	for f.Enter(func() error { return nil }) == nil {
		runtime.Gosched()
	}
}

// start is what Caddy does when the configuration goes live.
func (c *config) start() error {
	return c.Open(context.Background(), c, c.log, func() { c.settings = c.name })
}

// cleanup is what Caddy does at the end.
func (c *config) cleanup(t *testing.T) {
	t.Helper()
	if err := c.Leave(c); err != nil {
		t.Error(err)
	}
}

func (c *config) live(t *testing.T) *config {
	t.Helper()
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fake) expect(t *testing.T, settings string, events ...string) {
	t.Helper()
	if f.settings != settings {
		t.Errorf("the settings are %q, want %q", f.settings, settings)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.events, events) {
		t.Errorf("it did %q, want %q", f.events, events)
	}
}

func (f *fake) expectUse(t *testing.T, want error) {
	t.Helper()
	used := false
	err := f.Enter(func() error { used = true; return nil })
	if !errors.Is(err, want) || used != (want == nil) || f.Opened() != used {
		t.Errorf("Enter: error %v, used %v, open %v; want error %v", err, used, f.Opened(), want)
	}
}

func TestConfigurationsThatOverlapShareOneResource(t *testing.T) {
	t.Parallel()
	f := newPool()
	old := f.provision("old")
	f.expectUse(t, errNotOpen)
	old.live(t)
	f.provision("validated").cleanup(t)
	reloaded := f.provision("reloaded").live(t)
	f.expectUse(t, nil)
	old.cleanup(t)
	f.expectUse(t, nil)
	f.expect(t, "reloaded", "open")
	reloaded.cleanup(t)
	f.expectUse(t, errNotOpen)
	f.expect(t, "reloaded", "open", "background ends", "close")
}

func TestWhatIsOnlyValidatedOpensNothing(t *testing.T) {
	t.Parallel()
	f := newPool()
	f.provision("validated").cleanup(t)
	f.expect(t, "")
}

func TestTheNewestLiveConfigurationsSettingsAndLogAreUsed(t *testing.T) {
	t.Parallel()
	f := newPool()
	expect := func(c *config) {
		t.Helper()
		if f.settings != c.name || f.Log() != c.log {
			t.Errorf("settings of %q, log of %q; want those of %q", f.settings, f.Log(), c.name)
		}
	}
	a := f.provision("a").live(t)
	expect(a)
	if !strings.Contains(a.text.String(), "opened") {
		t.Errorf("while it was opened, the log of who opens it had %q", a.text.String())
	}
	b := f.provision("b")
	expect(a) // b is not live
	c := f.provision("c").live(t)
	b.live(t)
	expect(b)
	c.cleanup(t)
	expect(b)
	a.live(t) // a second time, which makes it no newer
	expect(b)
	b.cleanup(t)
	expect(a)
	log := a.Log()
	a.cleanup(t)
	if f.Log() == log {
		t.Error("the log of a configuration that is gone is used")
	}
}

func TestALoadThatFailsAfterItWentLiveChangesNothing(t *testing.T) {
	t.Parallel()
	f := newPool()
	old := f.provision("old").live(t)
	f.provision("failed").live(t).cleanup(t)
	f.expectUse(t, nil)
	f.expect(t, "old", "open")
	if f.Log() != old.log {
		t.Error("the log is not the old one's")
	}
	old.cleanup(t)

	f = newPool()
	f.provision("failed").live(t).cleanup(t)
	f.expectUse(t, errNotOpen)
	f.expect(t, "failed", "open", "background ends", "close")
}

func TestWhatCannotBeOpenedMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		fail, unready error
		events        []string
	}{
		"it cannot be opened":   {broken, nil, []string{"open"}},
		"it does not get ready": {nil, broken, []string{"open", "background ends", "close"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newPool()
			f.fail, f.unready = tt.fail, tt.unready
			a := f.provision("a")
			if err := a.start(); !errors.Is(err, broken) {
				t.Errorf("error %v", err)
			}
			f.expectUse(t, errNotOpen)
			f.expect(t, "a", tt.events...)
			if f.Log() == a.log {
				t.Error("its log is used")
			}
			f.fail, f.unready = nil, nil
			b := f.provision("b").live(t)
			f.expectUse(t, nil)
			a.cleanup(t)
			f.expect(t, "b", append(tt.events, "open")...)
			b.cleanup(t)
		})
	}
}

func TestALoadThatWasGivenUpOpensNothing(t *testing.T) {
	t.Parallel()
	f := newPool()
	c := f.provision("c")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Open(ctx, c, c.log, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	c.cleanup(t)
	f.expect(t, "")
}

func TestClosingWaitsForWhatIsUnderWayAndNobodyWaitsForClosing(t *testing.T) {
	t.Parallel()
	f := newPool()
	old := f.provision("old").live(t)
	worked := f.work(t)
	closed := make(chan struct{})
	go func() { defer close(closed); old.cleanup(t) }()
	f.waitForClosing()
	f.expect(t, "old", "open", "background ends")
	worked()
	<-closed
	f.expect(t, "old", "open", "background ends", "close")
}

func TestClosingTwiceClosesOnce(t *testing.T) {
	t.Parallel()
	f := newPool()
	c := f.provision("c").live(t)
	for range 2 {
		if err := f.Destruct(); err != nil {
			t.Error(err)
		}
	}
	f.expect(t, "c", "open", "background ends", "close")
	if err := c.start(); !errors.Is(err, errNotOpen) {
		t.Errorf("Open afterwards: error %v", err)
	}
}

func TestConfigurationsMayComeAndGoAtAnyTime(t *testing.T) {
	t.Parallel()
	pool := caddy.NewUsagePool()
	type counted struct {
		*Tenancy
		open, settings atomic.Int64
	}
	share := func() *counted {
		shared, _ := Join(pool, key, func() *counted {
			c := new(counted)
			c.Tenancy = New(pool, key, Resource{
				Open:       func() error { c.open.Add(1); return nil },
				Background: []func(context.Context){func(ctx context.Context) { <-ctx.Done() }},
				Close:      func() error { c.open.Add(-1); return nil },
				NotOpen:    errNotOpen,
			})
			return c
		})
		return shared
	}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 200 {
				c, who := share(), new(int)
				if i%3 > 0 {
					if err := c.Open(context.Background(), who, slog.New(slog.DiscardHandler), func() { c.settings.Store(int64(n)) }); err != nil {
						t.Errorf("Open: %v", err)
					}
				}
				attempt := string(rune('a' + n))
				c.Hold(attempt)
				if err := c.Leave(who); err != nil {
					t.Error(err)
				}
				err := c.Enter(func() error {
					if c.open.Load() != 1 {
						t.Errorf("it is used when it was opened %d times more than closed", c.open.Load())
					}
					return nil
				})
				if i%3 > 0 && err != nil {
					t.Errorf("while an attempt has it: %v", err)
				}
				c.LetGo(context.Background(), attempt)
			}
		})
	}
	wg.Wait()
	if n, shared := pool.References(key); shared {
		t.Errorf("%d shares are left", n)
	}
}
