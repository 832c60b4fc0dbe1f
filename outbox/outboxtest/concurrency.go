package outboxtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// crowd leases and ends leases, many at once, and checks that nobody gets an entry that another has.
type crowd struct {
	*fixture
	ctx  context.Context
	wg   sync.WaitGroup
	mu   sync.Mutex
	busy map[[16]byte]string // the entry that is leased
}

func newCrowd(ctx context.Context, f *fixture, workers int, done func(l outbox.Leased) bool) *crowd {
	c := &crowd{fixture: f, ctx: ctx, busy: make(map[[16]byte]string)}
	for range workers {
		c.wg.Go(func() { c.work(done) })
	}
	return c
}

// work leases until the context ends; done reports whether to settle an entry, and otherwise it is released.
func (c *crowd) work(done func(l outbox.Leased) bool) {
	for {
		leased, err := c.q.Lease(c.ctx, app, 3)
		if err != nil {
			if c.ctx.Err() == nil {
				c.Errorf("Lease: %v", err)
			}
			return
		}
		for _, l := range leased {
			c.take(l)
		}
		for _, l := range leased {
			settle := done(l)
			c.mu.Lock()
			delete(c.busy, l.Device)
			c.mu.Unlock()
			if settle {
				err = c.q.Settle(context.Background(), l.Ref())
			} else {
				err = c.q.Release(context.Background(), l.Ref(), time.Now(), true)
			}
			if err != nil {
				c.Errorf("%s: %v", l.ID, err)
			}
		}
	}
}

func (c *crowd) take(l outbox.Leased) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other, ok := c.busy[l.Device]; ok {
		c.Errorf("%s was leased while %s of the same device was", l.ID, other)
	}
	c.busy[l.Device] = l.ID
}

func concurrency(f *fixture) {
	const devices, entries = 8, 12
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	var (
		mu      sync.Mutex
		next    = make(map[[16]byte]int)
		settled int
	)
	c := newCrowd(ctx, f, 6, func(l outbox.Leased) bool {
		mu.Lock()
		defer mu.Unlock()
		if want := fmt.Sprint(next[l.Device]); l.ID != want {
			f.Errorf("leased %s, want %s", l.ID, want)
		}
		if (settled+l.Attempts)%3 == 0 && l.Attempts < 2 {
			return false
		}
		next[l.Device]++
		if settled++; settled == devices*entries {
			cancel()
		}
		return true
	})
	for i := range devices {
		c.wg.Go(func() {
			for n := range entries {
				if _, err := f.q.Accept(f.Context(), entry(fmt.Sprint(i), fmt.Sprint(n))); err != nil {
					f.Errorf("Accept: %v", err)
				}
			}
		})
	}
	c.wg.Wait()
	if settled != devices*entries {
		f.Errorf("%d entries were settled, want %d", settled, devices*entries)
	}
	for i := range devices {
		f.expectWaiting(app, fmt.Sprint(i), false)
	}
	f.nothing()
}

func badgesAtOnce(f *fixture) {
	const devices, updates = 4, 25
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	var newest, tried atomic.Int32
	c := newCrowd(ctx, f, 4, func(l outbox.Leased) bool {
		if tried.Add(1)%3 == 0 {
			return false
		}
		if l.ID == fmt.Sprint(updates-1) && newest.Add(1) == devices {
			cancel()
		}
		return true
	})
	for i := range devices {
		c.wg.Go(func() {
			for n := range updates {
				if _, err := f.q.Accept(f.Context(), badge(fmt.Sprint(i), fmt.Sprint(n))); err != nil {
					f.Errorf("Accept: %v", err)
				}
			}
		})
	}
	c.wg.Wait()
	if n := newest.Load(); n != devices {
		f.Errorf("the newest update of %d devices arrived, want %d", n, devices)
	}
	for i := range devices {
		f.expectWaiting(app, fmt.Sprint(i), false)
	}
}
