package file

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/revision"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/until"
)

// reject records a verdict. A verdict that cannot be written still counts until the process ends.
func (d *database) reject(ctx context.Context, key rejected.Key, v rejected.Verdict) error {
	return d.late(ctx, until.Do(ctx, d.writes, func() error {
		err := d.revise(key, func(r rejected.Record) (rejected.Record, revision.Fate) { return r.Add(v), revision.Put })
		if err != nil && d.Opened() {
			d.index.raise(key, rejected.Record{}.Add(v).Mark())
		}
		return err
	}))
}

// suspect records a look. A look that cannot be written does not count.
func (d *database) suspect(ctx context.Context, key rejected.Key, v rejected.Verdict) (rejected.Suspicion, error) {
	s, err := until.Run(ctx, d.writes, func() (s rejected.Suspicion, err error) {
		err = d.revise(key, func(r rejected.Record) (rejected.Record, revision.Fate) {
			r = r.Suspect(v)
			s = r.Suspicion
			return r, revision.Put
		})
		return s, err
	})
	if err != nil {
		return rejected.Suspicion{}, d.late(ctx, err)
	}
	return s, nil
}

// acquit ends a suspicion. It writes nothing if there is none, as for almost every delivered push.
func (d *database) acquit(ctx context.Context, key rejected.Key) error {
	if !d.Opened() {
		return rejected.ErrNotOpen
	}
	suspected, known := d.index.suspected(key)
	if !known {
		var err error
		suspected, err = until.Run(ctx, d.reads, func() (bool, error) {
			answers, err := d.answers([]rejected.Key{key})
			return err == nil && answers[0].mark.LookAt > 0, err
		})
		if err != nil {
			return d.late(ctx, err)
		}
	}
	if !suspected {
		return nil
	}
	return d.late(ctx, until.Do(ctx, d.writes, func() error {
		return d.revise(key, revision.Acquit)
	}))
}

func (d *database) forget(ctx context.Context, key rejected.Key) error {
	return d.late(ctx, until.Do(ctx, d.writes, func() error {
		err := d.update(func(b *bbolt.Bucket) error {
			d.index.remove(key)
			return b.Delete(key[:])
		})
		if err != nil {
			d.restore(key)
		}
		return err
	}))
}

// revise changes a key's record as fn says, and returns when that is on disk. It changes the index inside the transaction, where the
// changes of a key have an order, however late they come. If it fails, it restores the index from the disk.
func (d *database) revise(key rejected.Key, fn func(rejected.Record) (rejected.Record, revision.Fate)) error {
	err := d.update(func(b *bbolt.Bucket) error {
		value := b.Get(key[:])
		before, ok := d.current(key, value)
		r, to := fn(before)
		if to == revision.Keep {
			d.index.set(key, before.Mark())
			return nil
		}
		if !ok && value != nil {
			d.index.remove(key) // nothing of an expired record counts any more
		}
		if to == revision.Delete {
			d.index.set(key, rejected.Mark{}) // an unwritten verdict stays
			return b.Delete(key[:])
		}
		if err := d.makeRoom(b, key); err != nil {
			return err
		}
		d.index.set(key, r.Mark())
		return b.Put(key[:], encode(key, r))
	})
	if err != nil {
		d.restore(key)
	}
	return err
}

// makeRoom removes other records if there are too many for a new one.
func (d *database) makeRoom(b *bbolt.Bucket, key rejected.Key) error {
	most := (int(d.maxEntries.Load()) + shards - 1) / shards
	for _, other := range d.index.crowdOut(key, most) {
		if err := b.Delete(other[:]); err != nil {
			return err
		}
	}
	return nil
}

// restore sets the index to what is on disk for a key, besides unwritten verdicts, after a change that failed. It uses a write transaction
// that it rolls back: nothing is written, and no other change comes in between. If the file cannot be read, the key is not suspected.
func (d *database) restore(key rejected.Key) {
	_ = d.enter(func() error {
		tx, err := d.bolt.Begin(true)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // it was begun
		var m rejected.Mark
		err = boltfile.Guard(d.path, func() error {
			m = d.onDisk(tx.Bucket(bucket), key)
			return nil
		})
		d.index.set(key, m)
		return err
	})
}
