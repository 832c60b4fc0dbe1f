package file

import (
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// batchDelay is how long a write waits for others to share its sync with.
const batchDelay = 5 * time.Millisecond

// bucket holds the records under their keys.
var bucket = []byte("rejected")

// load makes the bucket and fills the index with all records that were seen after the given time.
func (d *database) load(db *bbolt.DB, after time.Time) (skipped int, err error) {
	err = boltfile.Guard(d.path, func() error {
		return db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucket)
			if b == nil {
				return nil
			}
			return b.ForEach(func(name, value []byte) error {
				key, r, err := entry(name, value)
				switch {
				case err != nil:
					skipped++
				case r.LastSeen.After(after):
					d.index.raise(key, r.Mark())
				}
				return nil
			})
		})
	})
	if err != nil {
		return 0, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%s cannot be written: %w", d.path, err)
	}
	return skipped, nil
}

func entry(name, value []byte) (rejected.Key, rejected.Record, error) {
	if len(name) != len(rejected.Key{}) {
		return rejected.Key{}, rejected.Record{}, errGarbage
	}
	key := rejected.Key(name)
	r, err := decode(key, value)
	return key, r, err
}

// view runs fn in a reading transaction.
func (d *database) view(fn func(*bbolt.Bucket) error) error {
	return d.enter(func() error {
		return d.bolt.View(func(tx *bbolt.Tx) error { return fn(tx.Bucket(bucket)) })
	})
}

// update runs fn, perhaps more than once, in a transaction that it shares with others, and returns when that is on disk.
func (d *database) update(fn func(*bbolt.Bucket) error) error {
	return d.enter(func() error {
		return d.write(func(tx *bbolt.Tx) error { return fn(tx.Bucket(bucket)) })
	})
}

// enter keeps the file open while fn runs. A file that goes bad under a running server is an error, not the server's end.
func (d *database) enter(fn func() error) error {
	d.gate.RLock()
	defer d.gate.RUnlock()
	if d.bolt == nil {
		return rejected.ErrNotOpen
	}
	return boltfile.Guard(d.path, fn)
}
