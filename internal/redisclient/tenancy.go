package redisclient

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
)

// Tenancy is the life of what the configurations of a process keep in one Redis under one prefix. It is made closed, opened by the first
// configuration that goes live, and closed when no configuration uses it any more.
type Tenancy struct {
	Client *Client

	notOpen error // what operations get while it is closed

	// gate is held for reading while Redis is used, so closing waits for what is in flight. Nobody waits to read: while somebody waits to
	// write, it is not open yet, or not any more.
	gate   sync.RWMutex
	opened bool

	life    sync.Mutex // opening, closing, and live
	live    []tenant   // newest last
	closed  bool
	log     atomic.Pointer[slog.Logger] // that of the newest live configuration
	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// tenant is a configuration that is live, and the log that may be used while it is.
type tenant struct {
	who any
	log *slog.Logger
}

// NewTenancy makes one, with the error for those who use it while it is closed. It takes over the share of the client.
func NewTenancy(client *Client, notOpen error) *Tenancy {
	t := &Tenancy{Client: client, notOpen: notOpen}
	t.log.Store(slog.New(slog.DiscardHandler))
	return t
}

// Share takes a share of what a pool has for a URL, a gateway's name and a prefix, and makes it if there is nothing yet; it is told the key
// to give the share back by.
func Share[T caddy.Destructor](pool *caddy.UsagePool, url, prefix, gateway string, make func(client *Client, key string) T) (shared T, err error) {
	client, err := Load(url)
	if err != nil {
		return shared, err
	}
	key := client.Key + " " + gateway + " " + prefix
	v, loaded, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) { return make(client, key), nil })
	if loaded || err != nil {
		_ = client.Unload() // what is shared has a share of its own
	}
	if err != nil {
		return shared, err
	}
	return v.(T), nil
}

// Open makes who the newest configuration that went live, whose log is used from now on. The first one starts what runs in the background
// until all are gone.
func (t *Tenancy) Open(ctx context.Context, who any, log *slog.Logger, background ...func(context.Context)) error {
	t.life.Lock()
	defer t.life.Unlock()
	if t.closed {
		return t.notOpen
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.Client.Probe(ctx, log); err != nil {
		return err
	}
	if !slices.ContainsFunc(t.live, func(o tenant) bool { return o.who == who }) {
		t.live = append(t.live, tenant{who, log})
	}
	t.apply()
	if t.opened {
		return nil
	}
	t.gate.Lock()
	t.opened = true
	t.gate.Unlock()
	live, stop := context.WithCancel(context.Background())
	t.stop = stop
	for _, run := range background {
		t.stopped.Go(func() { run(live) })
	}
	return nil
}

// apply makes the newest live configuration's log the one that is used; the caller holds life.
func (t *Tenancy) apply() {
	log := slog.New(slog.DiscardHandler)
	if n := len(t.live); n > 0 {
		log = t.live[n-1].log
	}
	t.log.Store(log)
}

// Log is that of the newest live configuration.
func (t *Tenancy) Log() *slog.Logger { return t.log.Load() }

// Retire forgets a configuration.
func (t *Tenancy) Retire(who any) {
	t.life.Lock()
	defer t.life.Unlock()
	t.live = slices.DeleteFunc(t.live, func(o tenant) bool { return o.who == who })
	t.apply()
}

// Destruct ends what runs in the background, waits for the operations in flight, and gives the share of the connections back.
func (t *Tenancy) Destruct() error {
	t.life.Lock()
	defer t.life.Unlock()
	t.closed = true
	if t.stop != nil {
		t.stop()
		t.stopped.Wait()
	}
	t.gate.Lock()
	t.opened = false
	t.gate.Unlock()
	return t.Client.Unload()
}

// Enter keeps the connections open while fn uses them.
func (t *Tenancy) Enter(fn func() error) error {
	if !t.gate.TryRLock() {
		return t.notOpen
	}
	defer t.gate.RUnlock()
	if !t.opened {
		return t.notOpen
	}
	return fn()
}

// Interface guard
var _ caddy.Destructor = (*Tenancy)(nil)
