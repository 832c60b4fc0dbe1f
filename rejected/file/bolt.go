package file

import (
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// batchDelay is how long a write waits for others to share a sync.
const batchDelay = 5 * time.Millisecond

// bucket holds the records by their keys.
var bucket = []byte("rejected")

// makeBucket creates the bucket unless it exists, and finds out whether the file can be written.
func makeBucket(db *bbolt.DB, path string) error {
	return boltfile.Guard(path, func() error {
		err := db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(bucket)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s cannot be written: %w", path, err)
		}
		return nil
	})
}

// entry decodes a record without its texts.
func entry(name, value []byte) (rejected.Key, rejected.Record, error) {
	if len(name) != len(rejected.Key{}) {
		return rejected.Key{}, rejected.Record{}, errGarbage
	}
	key := rejected.Key(name)
	r, _, _, err := parse(key, value)
	return key, r, err
}

// view runs fn in a read transaction.
func (d *database) view(fn func(*bbolt.Bucket) error) error {
	return d.enter(func() error {
		return d.read(func(tx *bbolt.Tx) error { return fn(tx.Bucket(bucket)) })
	})
}

// update runs fn in a transaction that it shares with others, perhaps more than once, and returns when that is on disk.
func (d *database) update(fn func(*bbolt.Bucket) error) error {
	return d.Enter(func() error { return d.updateOpen(fn) })
}

// updateOpen is update for callers that closing waits for.
func (d *database) updateOpen(fn func(*bbolt.Bucket) error) error {
	return boltfile.Guard(d.path, func() error {
		return d.write(func(tx *bbolt.Tx) error {
			// It may run on a goroutine of bbolt's, where a missing page would end the process. After a panic in a transaction, bbolt also reads the
			// list of free pages again. If that is damaged too, every later write fails without an error.
			return boltfile.Guard(d.path, func() error { return fn(tx.Bucket(bucket)) })
		})
	})
}

// enter keeps the file open while fn runs. If the file goes bad while the server runs, that is an error and not the server's end.
func (d *database) enter(fn func() error) error {
	return d.Enter(func() error { return boltfile.Guard(d.path, fn) })
}
