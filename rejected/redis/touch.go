package redis

import (
	"context"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/revision"
)

const (
	// maxTouches bounds what waits to be written down. Beyond it, a later lookup has to do.
	maxTouches = 10_000
	// flushTime is how long it may take to write that; a process that ends waits for it.
	flushTime = 2 * time.Second
)

// touchInterval is how often it is written down that a record was seen.
func touchInterval(expire time.Duration) time.Duration { return min(time.Hour, expire/4) }

// sighting says when a record was seen, and how long it is kept from then on.
type sighting struct {
	seen   time.Time
	expire time.Duration
}

// touches are the records that were seen, which is to be written down.
type touches struct {
	mu      sync.Mutex
	waiting map[rejected.Key]sighting
	some    chan struct{}
	writing sync.Mutex // who holds it writes down what it has taken
}

func newTouches() touches {
	return touches{waiting: make(map[rejected.Key]sighting), some: make(chan struct{}, 1)}
}

func (t *touches) add(k rejected.Key, one sighting) {
	t.mu.Lock()
	if len(t.waiting) < maxTouches {
		t.waiting[k] = one
	}
	t.mu.Unlock()
	select {
	case t.some <- struct{}{}:
	default:
	}
}

func (t *touches) take() map[rejected.Key]sighting {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.waiting
	t.waiting = make(map[rejected.Key]sighting)
	return taken
}

// run writes down what was seen, until the context ends, and then once more.
func (d *shelf) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			d.flush()
			return
		case <-d.touches.some:
			d.flush()
		}
	}
}

// flush writes down what was seen, for a limited time; when it returns, what another has taken is written down, too. What fails is left to
// a later lookup.
func (d *shelf) flush() {
	d.touches.writing.Lock()
	defer d.touches.writing.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	for key, one := range d.touches.take() {
		err := d.change(ctx, key, one.expire, func(value string, _ time.Time) (rejected.Record, revision.Fate) {
			r, ok := decode(value)
			if !ok || !one.seen.After(r.LastSeen) {
				return r, revision.Keep
			}
			r.LastSeen = one.seen
			return r, revision.Put
		})
		if err != nil {
			d.Log().Debug("that pushkeys were asked for cannot be written down", "error", failed(ctx, err))
			return
		}
	}
}
