package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	lockTimeout = 2 * time.Second
	// batchDelay is how long a write waits for others to share its sync with.
	batchDelay = 5 * time.Millisecond
)

// bucket holds the records under their keys.
var bucket = []byte("rejected")

// openBolt opens the file, or makes it with its directory.
func openBolt(path string) (db *bbolt.DB, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// bbolt panics on some damaged files, and then leaves the file open and locked.
	var file *os.File
	defer func() {
		if r := recover(); r != nil {
			abandon(file)
			db, err = nil, damaged(path, fmt.Errorf("%v", r))
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a file cut short faults when its missing pages are read

	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			var err error
			file, err = os.OpenFile(name, flag, perm)
			return file, err
		},
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is locked, most likely by another Caddy process; a running one is changed with `caddy reload`: %w", path, err)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return nil, damaged(path, err)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be opened: %w", path, err)
	}
	db.MaxBatchDelay = batchDelay
	return db, nil
}

func damaged(path string, err error) error {
	return fmt.Errorf("%s is damaged or no database; move it away to start with an empty one: %w", path, err)
}

// load makes the bucket and fills the index with all records that were seen after the given time.
func (d *database) load(db *bbolt.DB, after time.Time) (skipped int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = damaged(d.path, fmt.Errorf("%v", r))
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))

	err = db.View(func(tx *bbolt.Tx) error {
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
	if err != nil {
		return 0, damaged(d.path, err)
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
func (d *database) enter(fn func() error) (err error) {
	d.gate.RLock()
	defer d.gate.RUnlock()
	if d.bolt == nil {
		return rejected.ErrNotOpen
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v", d.path, r)
		}
	}()
	return fn()
}
