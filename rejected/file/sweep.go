package file

import (
	"bytes"
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	maxSweepInterval = time.Hour
	// Verdicts wait for a write transaction, and a long read transaction keeps pages from being used again.
	maxWrites = 1024
	maxReads  = 16 * 1024
)

// run writes lookups and removes expired records until the context ends.
func (d *database) run(ctx context.Context) {
	next, crowd := d.clock.after(d.interval()), d.crowd
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-crowd:
			err = d.flush(ctx)
		case <-next:
			err = d.sweep(ctx)
			next, crowd = d.clock.after(d.interval()), d.crowd
		}
		if err != nil && ctx.Err() == nil {
			crowd = nil // after a disk error, it tries again at the next interval, not with every lookup
			d.Log().Error("the file of rejected pushkeys cannot be cleaned up", "file", d.path, "error", err)
		}
	}
}

func (d *database) interval() time.Duration {
	return min(maxSweepInterval, time.Duration(d.expire.Load())/2)
}

// sweep removes every record that has not been seen for too long.
func (d *database) sweep(ctx context.Context) error {
	if err := d.flush(ctx); err != nil {
		return err
	}
	for from := []byte{}; from != nil; {
		if err := ctx.Err(); err != nil {
			return err
		}
		expired, next, err := d.findExpired(from)
		if err != nil {
			return err
		}
		if err := d.removeExpired(expired); err != nil {
			return err
		}
		from = next
	}
	return nil
}

// findExpired reads from a key on, and returns the key to continue from; nil at the end. It keeps unreadable records: a newer version may
// have written them.
func (d *database) findExpired(from []byte) (expired []rejected.Key, next []byte, err error) {
	err = d.view(func(b *bbolt.Bucket) error {
		c := b.Cursor()
		n := 0
		for name, value := c.Seek(from); name != nil; name, value = c.Next() {
			if n == maxReads || len(expired) == maxWrites {
				next = bytes.Clone(name)
				return nil
			}
			n++
			if key, r, err := entry(name, value); err == nil && d.expired(r) {
				expired = append(expired, key)
			}
		}
		return nil
	})
	return expired, next, err
}

// removeExpired removes records, except those that were seen or rejected again meanwhile.
func (d *database) removeExpired(keys []rejected.Key) error {
	if len(keys) == 0 {
		return nil
	}
	return d.update(func(b *bbolt.Bucket) error {
		var errs []error
		for _, key := range keys {
			r, err := decode(key, b.Get(key[:]))
			if err == nil && d.expired(r) && d.index.removeUnseen(key) {
				errs = append(errs, b.Delete(key[:]))
			}
		}
		return errors.Join(errs...)
	})
}

// flush writes which records were seen.
func (d *database) flush(ctx context.Context) error {
	batch := make(map[rejected.Key]uint32)
	for i := range shards {
		d.index.takeSeen(i, batch)
		if len(batch) < maxWrites && i < shards-1 || len(batch) == 0 {
			continue
		}
		if err := d.writeSeen(batch); err != nil {
			d.index.giveBack(batch)
			return err
		}
		clear(batch)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (d *database) writeSeen(batch map[rejected.Key]uint32) error {
	return d.updateOpen(func(b *bbolt.Bucket) error {
		var errs []error
		for key, seen := range batch {
			r, err := decode(key, b.Get(key[:]))
			if err != nil {
				continue // forgotten meanwhile
			}
			r.LastSeen = later(r.LastSeen, seen)
			errs = append(errs, b.Put(key[:], encode(key, r)))
		}
		return errors.Join(errs...)
	})
}
