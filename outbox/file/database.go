package file

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/holds"
)

var (
	entryBucket = []byte("entries") // sequence number: entry
	noteBucket  = []byte("notes")   // sequence number: notes, see putNotes
	// key: until when it is vouched for, and that time and the key: nothing. See vouches.go. Older files have neither.
	vouchBucket, vouchOrderBucket = []byte("vouched"), []byte("vouched_order")
)

var errClosed = outbox.ErrNotOpen

// database is one file and its index. It is made closed, opened by the first configuration that goes live, and closed when no
// configuration and no lease uses it any more.
type database struct {
	path  string
	index *index

	// gate is held for reading during every use of what follows it, so closing waits for what is in flight. Nobody waits to read: while
	// somebody waits to write, the file is not open yet, or not any more.
	gate   sync.RWMutex
	bolt   *bbolt.DB // it and its file are reads', too: a smaller one may take their place
	file   *os.File
	writer *writer // nil when it is not open

	// reads is held for reading by who reads from bolt, for moments. See wipe.go for who has to be alone.
	reads sync.RWMutex
	tidy  tidy

	// every is how often the file is swept, and shrinks whether it is made smaller; sweepInterval and mostlyFree, but for tests.
	every   time.Duration
	shrinks func(used, size int64) bool

	life   sync.Mutex // opening, closing, and live
	live   []*Box     // whose settings may apply, newest last
	closed bool
	log    atomic.Pointer[slog.Logger] // that of the newest live configuration
	stop   context.CancelFunc
	swept  chan struct{}

	held *holds.Holds
}

func newDatabase(path string) *database {
	return &database{path: path, index: newIndex(), held: holds.New(pool, path), every: sweepInterval, shrinks: mostlyFree}
}

// open opens the file if it is not open yet, and makes b the newest configuration that went live.
func (d *database) open(ctx context.Context, b *Box) error {
	d.life.Lock()
	defer d.life.Unlock()
	if d.closed {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !slices.Contains(d.live, b) {
		d.live = append(d.live, b)
	}
	d.apply()
	if d.writer != nil {
		return nil
	}
	if err := d.start(b.log); err != nil {
		d.live = nil
		return err
	}
	return nil
}

// start opens the file and reads it; the caller holds life.
func (d *database) start(log *slog.Logger) error {
	bolt, file, err := boltfile.Open(d.path, log)
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
		log.Warn("unreadable entries were skipped", "file", d.path, "entries", skipped)
	}
	d.gate.Lock()
	d.bolt, d.file, d.writer = bolt, file, w
	d.gate.Unlock()
	d.tidy = tidy{}
	go w.run()
	ctx, cancel := context.WithCancel(context.Background())
	d.stop, d.swept = cancel, make(chan struct{})
	go func() {
		defer close(d.swept)
		d.sweep(ctx)
	}()
	return nil
}

// load fills the index. What cannot be read is left alone: a newer version may have written it.
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

// apply makes the newest live configuration's bounds those of the index, and its log the one that is used; the caller holds life.
func (d *database) apply() {
	log := slog.New(slog.DiscardHandler)
	if n := len(d.live); n > 0 {
		d.index.setBounds(d.live[n-1].options().Bounds())
		log = d.live[n-1].log
	}
	d.log.Store(log)
}

// retire forgets a configuration; the settings of the newest other one apply again.
func (d *database) retire(b *Box) {
	d.life.Lock()
	defer d.life.Unlock()
	d.live = slices.DeleteFunc(d.live, func(o *Box) bool { return o == b })
	d.apply()
}

// Destruct closes the file when nobody uses it any more. Later operations get ErrNotOpen.
func (d *database) Destruct() error {
	d.life.Lock()
	defer d.life.Unlock()
	d.closed = true
	if d.writer == nil {
		return nil
	}
	d.stop()
	<-d.swept
	d.gate.Lock()
	defer d.gate.Unlock()
	d.writer.close()
	err := errors.Join(d.lastWipe(), d.bolt.Close())
	d.bolt, d.file, d.writer = nil, nil, nil
	return err
}

// view runs a function in a transaction that reads. It is to take a moment.
func (d *database) view(fn func(*bbolt.Tx) error) error {
	d.reads.RLock()
	defer d.reads.RUnlock()
	return boltfile.Guard(d.path, func() error { return d.bolt.View(fn) })
}

// enter keeps the file open while fn runs.
func (d *database) enter(fn func() error) error {
	if !d.gate.TryRLock() {
		return errClosed
	}
	defer d.gate.RUnlock()
	if d.writer == nil {
		return errClosed
	}
	return fn()
}

// Interface guard
var _ caddy.Destructor = (*database)(nil)
