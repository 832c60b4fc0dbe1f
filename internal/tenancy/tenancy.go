// Package tenancy manages the lifetime of a resource that the configurations of a process share, such as a file that only one of them could
// open.
//
// When Caddy reloads, it starts the new configuration while the old one still works. Then it cleans up the old one, whose requests may
// continue for long. A configuration that is only validated, or fails to load, is also cleaned up, perhaps after it was started. So a
// shared resource is
//
//	made    when the first configuration is provisioned: Join. This opens nothing
//	opened  when the first configuration goes live: Open. The newest live one's settings and log are in use
//	used    through Enter, which returns an error before the resource is open and after it is closed
//	held    by attempts under way, which may outlive all configurations: Hold, LetGo
//	closed  when the last configuration has left and the last attempt has ended: Leave. Background functions end first
package tenancy

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
)

// Resource is what is shared. Its functions never run at the same time, except those in the background.
type Resource struct {
	// Open opens it. The settings and the log of the configuration that opens it are already in use. After an error it is still closed, and a
	// later configuration may try again.
	Open func() error

	// Background functions run while it is open. Each returns when its context is done, and may use Enter until then.
	Background []func(context.Context)

	// Ready waits until it can be used, while Background runs. After an error, it is closed again. Ready may be nil.
	Ready func(context.Context) error

	// Close closes it. Background has ended, and nobody is in Enter.
	Close func() error

	// NotOpen is the error for calls while it is closed.
	NotOpen error
}

// Tenancy is a resource that configurations share through a pool. The pool has values of types that embed it.
type Tenancy struct {
	resource Resource
	pool     *caddy.UsagePool
	key      string

	gate   sync.RWMutex // held for reading in Enter; it is locked to close, and then nobody waits to read
	opened atomic.Bool

	life       sync.Mutex // opening, closing, and live
	live       []tenant   // newest last
	closed     bool
	log        atomic.Pointer[slog.Logger]
	stop       context.CancelFunc
	background sync.WaitGroup

	holding  sync.Mutex
	attempts map[string]struct{}
}

// tenant is a live configuration.
type tenant struct {
	who   any
	log   *slog.Logger
	apply func()
}

// Join takes a share of the pool's value under a key, or makes the value if there is none yet. Leave releases the share.
func Join[T caddy.Destructor](pool *caddy.UsagePool, key string, make func() T) (shared T, made bool) {
	v, loaded, _ := pool.LoadOrNew(key, func() (caddy.Destructor, error) { return make(), nil }) // make returns no error
	return v.(T), !loaded
}

// New returns the closed tenancy of a resource, for a pool's value under a key.
func New(pool *caddy.UsagePool, key string, resource Resource) *Tenancy {
	t := &Tenancy{resource: resource, pool: pool, key: key, attempts: make(map[string]struct{})}
	t.log.Store(slog.New(slog.DiscardHandler))
	return t
}

// Open makes who the newest configuration that went live, and opens the resource unless it is open. The log, and the settings that apply
// sets, are in use until a newer configuration goes live, and again when that one is gone. apply may be nil.
func (t *Tenancy) Open(ctx context.Context, who any, log *slog.Logger, apply func()) error {
	t.life.Lock()
	defer t.life.Unlock()
	if t.closed {
		return t.resource.NotOpen
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !slices.ContainsFunc(t.live, func(o tenant) bool { return o.who == who }) {
		t.live = append(t.live, tenant{who, log, apply})
	}
	t.applyNewest()
	if t.opened.Load() {
		return nil
	}
	err := t.open(ctx)
	if err != nil {
		t.retire(who)
	}
	return err
}

// open opens the resource; the caller holds life.
func (t *Tenancy) open(ctx context.Context) error {
	if err := t.resource.Open(); err != nil {
		return err
	}
	t.opened.Store(true)
	running, stop := context.WithCancel(context.Background())
	t.stop = stop
	for _, run := range t.resource.Background {
		t.background.Go(func() { run(running) })
	}
	if t.resource.Ready == nil {
		return nil
	}
	if err := t.resource.Ready(ctx); err != nil {
		return errors.Join(err, t.shut())
	}
	return nil
}

// applyNewest puts the settings and the log of the newest live configuration into use. Without a live configuration, the settings stay and
// nothing is logged. The caller holds life.
func (t *Tenancy) applyNewest() {
	newest := tenant{log: slog.New(slog.DiscardHandler)}
	if n := len(t.live); n > 0 {
		newest = t.live[n-1]
	}
	if newest.apply != nil {
		newest.apply()
	}
	t.log.Store(newest.log)
}

// retire forgets a configuration; the caller holds life.
func (t *Tenancy) retire(who any) {
	t.live = slices.DeleteFunc(t.live, func(o tenant) bool { return o.who == who })
	t.applyNewest()
}

// Leave forgets a configuration, whether or not it went live, and releases its share. The last one closes the resource.
func (t *Tenancy) Leave(who any) error {
	t.life.Lock()
	t.retire(who)
	t.life.Unlock()
	_, err := t.pool.Delete(t.key)
	return err
}

// Enter keeps the resource open while fn uses it. It never waits: before the resource is open, and once somebody waits to close it, Enter
// returns NotOpen.
func (t *Tenancy) Enter(fn func() error) error {
	if !t.gate.TryRLock() {
		return t.resource.NotOpen
	}
	defer t.gate.RUnlock()
	if !t.opened.Load() {
		return t.resource.NotOpen
	}
	return fn()
}

// Opened reports whether the resource is open, for callers that need not keep it open.
func (t *Tenancy) Opened() bool { return t.opened.Load() }

// Log returns the log of the newest live configuration.
func (t *Tenancy) Log() *slog.Logger { return t.log.Load() }

// Destruct closes the resource for good. The pool calls it when nobody has a share any more.
func (t *Tenancy) Destruct() error {
	t.life.Lock()
	defer t.life.Unlock()
	t.closed = true
	return t.shut()
}

// shut closes the resource if it is open; the caller holds life.
func (t *Tenancy) shut() error {
	if !t.opened.Load() {
		return nil
	}
	t.Quiet()
	t.gate.Lock()
	defer t.gate.Unlock()
	t.opened.Store(false)
	return t.resource.Close()
}

// Quiet ends the background functions. Tests call it before the resource is closed.
func (t *Tenancy) Quiet() {
	t.stop()
	t.background.Wait()
}

// Interface guard
var _ caddy.Destructor = (*Tenancy)(nil)
