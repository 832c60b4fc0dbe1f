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

// makeBucket makes the bucket unless it is there, and finds out whether the file can be written.
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

// entry is a record without its texts.
func entry(name, value []byte) (rejected.Key, rejected.Record, error) {
	if len(name) != len(rejected.Key{}) {
		return rejected.Key{}, rejected.Record{}, errGarbage
	}
	key := rejected.Key(name)
	r, _, _, err := parse(key, value)
	return key, r, err
}

// view runs fn in a reading transaction.
func (d *database) view(fn func(*bbolt.Bucket) error) error {
	return d.enter(func() error {
		return d.read(func(tx *bbolt.Tx) error { return fn(tx.Bucket(bucket)) })
	})
}

// update runs fn, perhaps more than once, in a transaction that it shares with others, and returns when that is on disk.
func (d *database) update(fn func(*bbolt.Bucket) error) error {
	return d.Enter(func() error { return d.updateOpen(fn) })
}

// updateOpen is update for those whom the closing waits for.
func (d *database) updateOpen(fn func(*bbolt.Bucket) error) error {
	return boltfile.Guard(d.path, func() error {
		return d.write(func(tx *bbolt.Tx) error {
			// It may run on a goroutine of bbolt's, where a page that is missing would end the process. And what panics in a transaction
			// has bbolt read the list of free pages again: if that is damaged, too, nothing can be written any more, not even an error.
			return boltfile.Guard(d.path, func() error { return fn(tx.Bucket(bucket)) })
		})
	})
}

// enter keeps the file open while fn runs. A file that goes bad under a running server is an error, not the server's end.
func (d *database) enter(fn func() error) error {
	return d.Enter(func() error { return boltfile.Guard(d.path, fn) })
}
