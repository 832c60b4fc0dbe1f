package redis

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// shelf is what a process has of the store. It is made closed, opened by the first configuration that goes live, and closed with the
// last.
type shelf struct {
	client  *redisclient.Client
	key     string // in the pool
	base    string // what keys in Redis begin with
	now     func() time.Time
	front   *front
	touches touches

	gate   sync.RWMutex // held for reading while Redis is used, so that closing waits for what is in flight
	opened bool

	life    sync.Mutex // opening, closing, and live
	live    []*Store   // whose log may be used, newest last
	closed  bool
	log     atomic.Pointer[slog.Logger] // that of the newest live configuration
	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// Configurations of one URL and prefix share a shelf.
var pool = caddy.NewUsagePool()

// share takes a share of the shelf with a URL and a prefix.
func share(url, prefix, gateway string, now func() time.Time) (*shelf, error) {
	client, err := redisclient.Load(url)
	if err != nil {
		return nil, err
	}
	key := client.Key + " " + gateway + " " + prefix
	v, loaded, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		d := &shelf{client: client, key: key, base: fmt.Sprintf("{%s}:rejected:", prefix), now: now, front: newFront(), touches: newTouches()}
		d.log.Store(slog.New(slog.DiscardHandler))
		return d, nil
	})
	if loaded || err != nil {
		_ = client.Unload() // the shelf has its own share
	}
	if err != nil {
		return nil, err
	}
	return v.(*shelf), nil
}

// leave gives a share back.
func (d *shelf) leave() error {
	_, err := pool.Delete(d.key)
	return err
}

// open makes s the newest configuration that went live.
func (d *shelf) open(ctx context.Context, s *Store) error {
	d.life.Lock()
	defer d.life.Unlock()
	if d.closed {
		return rejected.ErrNotOpen
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.client.Probe(ctx, s.log); err != nil {
		return err
	}
	if !slices.Contains(d.live, s) {
		d.live = append(d.live, s)
	}
	d.apply()
	if d.opened {
		return nil
	}
	d.gate.Lock()
	d.opened = true
	d.gate.Unlock()
	live, stop := context.WithCancel(context.Background())
	d.stop = stop
	d.stopped.Go(func() { d.run(live) })
	return nil
}

// apply makes the newest live configuration's log the one that is used; the caller holds life.
func (d *shelf) apply() {
	log := slog.New(slog.DiscardHandler)
	if n := len(d.live); n > 0 {
		log = d.live[n-1].log
	}
	d.log.Store(log)
}

// retire forgets a configuration.
func (d *shelf) retire(s *Store) {
	d.life.Lock()
	defer d.life.Unlock()
	d.live = slices.DeleteFunc(d.live, func(o *Store) bool { return o == s })
	d.apply()
}

// Destruct closes the shelf when the last configuration is gone, and waits for the operations in flight. Later ones get ErrNotOpen.
func (d *shelf) Destruct() error {
	d.life.Lock()
	defer d.life.Unlock()
	d.closed = true
	if d.stop != nil {
		d.stop()
		d.stopped.Wait()
	}
	d.gate.Lock()
	d.opened = false
	d.gate.Unlock()
	return d.client.Unload()
}

// enter keeps the connections open while fn uses them.
func (d *shelf) enter(fn func() error) error {
	d.gate.RLock()
	defer d.gate.RUnlock()
	if !d.opened {
		return rejected.ErrNotOpen
	}
	return fn()
}

// Interface guard
var _ caddy.Destructor = (*shelf)(nil)
