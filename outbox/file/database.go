package file

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/internal/tenancy"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/losses"
)

var (
	entryBucket = []byte("entries") // sequence number: entry
	noteBucket  = []byte("notes")   // sequence number: notes, see putNotes
	// vouchBucket maps a key to the end of its vouch. vouchOrderBucket has keys made of that time and the key, with empty values. See
	// vouches.go. Older files have neither.
	vouchBucket, vouchOrderBucket = []byte("vouched"), []byte("vouched_order")
)

// database is one file and its index. The configurations that name the file share it, and so do the attempts under way.
type database struct {
	*tenancy.Tenancy
	path   string
	index  *index
	losses losses.Current
	bolt   *bbolt.DB // reads protects it and its file: a smaller file may replace them
	file   *os.File
	writer *writer

	// reads is held for reading while something reads from bolt, always briefly. wipe.go describes what must run without readers.
	reads sync.RWMutex
	tidy  tidy

	// every is how often the file is swept, and shrinks decides whether it shrinks: sweepInterval and mostlyFree, except in tests.
	every   time.Duration
	shrinks func(used, size int64) bool
}

func newDatabase(path string) *database {
	d := &database{path: path, index: newIndex(), every: sweepInterval, shrinks: mostlyFree}
	d.Tenancy = tenancy.New(pool, path, tenancy.Resource{
		Open: d.open, Background: []func(context.Context){d.sweep}, Close: d.close, NotOpen: outbox.ErrNotOpen,
	})
	return d
}

// open opens the file and reads it.
func (d *database) open() error {
	bolt, file, err := boltfile.Open(d.path, d.Log())
	if err != nil {
		return err
	}
	var skipped int
	w := newWriter(d.path, bolt)
	err = boltfile.Guard(d.path, func() error {
		return bolt.Update(func(tx *bbolt.Tx) error {
			for _, name := range [][]byte{entryBucket, noteBucket, vouchBucket, vouchOrderBucket} {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			w.count(tx)
			skipped, err = d.load(tx.Bucket(entryBucket))
			return err
		})
	})
	if err != nil {
		d.index.clear()
		return errors.Join(fmt.Errorf("%s cannot be read or written: %w", d.path, err), bolt.Close())
	}
	if skipped > 0 {
		d.Log().Warn("unreadable entries were skipped", "file", d.path, "entries", skipped)
	}
	d.bolt, d.file, d.writer, d.tidy = bolt, file, w, tidy{}
	go w.run()
	return nil
}

// load fills the index. It keeps what it cannot read: a newer version may have written it.
func (d *database) load(entries *bbolt.Bucket) (skipped int, err error) {
	now := time.Now()
	err = entries.ForEach(func(key, value []byte) error {
		if len(key) != 8 {
			skipped++
			return nil
		}
		seq := binary.BigEndian.Uint64(key)
		e, err := decode(seq, value)
		if err != nil {
			skipped++
			d.index.skip(seq)
			return nil //nolint:nilerr // counted
		}
		d.index.load(e, seq, len(e.Push), now)
		return nil
	})
	return skipped, err
}

// close closes the file.
func (d *database) close() error {
	d.writer.close()
	return errors.Join(d.lastWipe(), d.bolt.Close())
}

// view runs a function in a read transaction. The function must be brief.
func (d *database) view(fn func(*bbolt.Tx) error) error {
	d.reads.RLock()
	defer d.reads.RUnlock()
	return boltfile.Guard(d.path, func() error { return d.bolt.View(fn) })
}

// Interface guard
var _ caddy.Destructor = (*database)(nil)
