package redis

import (
	"context"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/revision"
)

const (
	// maxTouches bounds how many sightings wait to be written. Above it, one is left to a later lookup.
	maxTouches = 10_000
	// flushTime bounds how long a flush takes. A process that ends waits for it.
	flushTime = 2 * time.Second
)

// touchInterval returns how often it is written that a record was seen.
func touchInterval(expire time.Duration) time.Duration { return min(time.Hour, expire/4) }

// sighting is when a record was seen, and how long it is kept from then on.
type sighting struct {
	seen   time.Time
	expire time.Duration
}

// touches has the sightings that must be written.
type touches struct {
	mu      sync.Mutex
	waiting map[rejected.Key]sighting
	some    chan struct{}
	writing sync.Mutex // whoever holds it writes what they have taken
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

// run writes sightings until the context ends, and then once more.
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

// flush writes sightings, for a limited time, to all shards at once. When it returns, sightings that others have taken are written too. If a
// shard fails, those of its records are left to later lookups.
func (d *shelf) flush() {
	d.touches.writing.Lock()
	defer d.touches.writing.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	byShard := make(map[int]map[rejected.Key]sighting)
	for key, one := range d.touches.take() {
		n := d.of(key)
		if byShard[n] == nil {
			byShard[n] = make(map[rejected.Key]sighting)
		}
		byShard[n][key] = one
	}
	var all sync.WaitGroup
	for _, some := range byShard {
		all.Go(func() {
			if err := d.write(ctx, some); err != nil {
				d.Log().Debug("the times of the latest notifications cannot be stored", "error", failed(ctx, err))
			}
		})
	}
	all.Wait()
}

// write writes the sightings of a shard's records, until one fails.
func (d *shelf) write(ctx context.Context, some map[rejected.Key]sighting) error {
	for key, one := range some {
		err := d.change(ctx, key, one.expire, func(value string, _ time.Time) (rejected.Record, revision.Fate) {
			r, ok := decode(value)
			if !ok || !one.seen.After(r.LastSeen) {
				return r, revision.Keep
			}
			r.LastSeen = one.seen
			return r, revision.Put
		})
		if err != nil {
			return err
		}
	}
	return nil
}
