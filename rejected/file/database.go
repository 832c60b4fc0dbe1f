package file

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/internal/tenancy"
	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/until"
)

const (
	maxReading = 64
	maxWriting = 2048 // two transactions of the most that share one
)

// database is one file and its index. The configurations that name the file share it.
type database struct {
	*tenancy.Tenancy
	path  string
	clock clock
	index index
	crowd chan struct{}
	// of the newest live configuration
	expire, maxEntries atomic.Int64

	bolt    *bbolt.DB
	file    *os.File
	loading *loading

	// reads and writes are the calls under way, including those on a disk that hangs. A read on such a disk blocks an OS thread.
	reads, writes until.Calls

	// step is called at each step of loading a shard. It does nothing, except in tests.
	step func(ctx context.Context, s step, shard int)

	// write runs a function in a transaction shared with others that come at the same time, and read in a read transaction. They are
	// bolt.Batch and bolt.View, except in tests.
	write, read func(func(*bbolt.Tx) error) error
}

// clock gives the time and waits; the zero clock is the real one.
type clock struct {
	now   func() time.Time
	after func(time.Duration) <-chan time.Time
}

func newDatabase(path string, c clock) *database {
	if c.now == nil {
		c.now = time.Now
	}
	if c.after == nil {
		c.after = time.After
	}
	d := &database{
		path: path, clock: c, crowd: make(chan struct{}, 1), step: func(context.Context, step, int) {},
		reads: make(until.Calls, maxReading), writes: make(until.Calls, maxWriting),
	}
	d.Tenancy = tenancy.New(pool, path, tenancy.Resource{
		Open: d.open, Background: []func(context.Context){d.loadAndSweep}, Ready: d.loaded, Close: d.close, NotOpen: rejected.ErrNotOpen,
	})
	return d
}

// apply puts a configuration's settings into use.
func (d *database) apply(s *Store) {
	d.expire.Store(int64(s.Expire))
	d.maxEntries.Store(int64(s.MaxEntries))
}

// open opens the file. Until it is loaded, lookups ask the file.
func (d *database) open() error {
	bolt, file, err := boltfile.Open(d.path, d.Log())
	if err != nil {
		return err
	}
	if err := makeBucket(bolt, d.path); err != nil {
		return errors.Join(err, bolt.Close())
	}
	bolt.MaxBatchDelay = batchDelay
	d.bolt, d.file, d.write, d.read, d.loading = bolt, file, bolt.Batch, bolt.View, newLoading()
	return nil
}

// loadAndSweep loads the file, and then sweeps it.
func (d *database) loadAndSweep(ctx context.Context) {
	readAll(ctx, d.file)
	if d.load(ctx) {
		d.run(ctx)
	}
}

// loaded waits a moment for loading to end, and returns the error that loading found by then.
func (d *database) loaded(ctx context.Context) error {
	found := d.loading.wait(ctx, d.clock.after(patience))
	if found.err == nil {
		d.warn(found.skipped)
	}
	return found.err
}

// close writes what was seen, and closes the file.
func (d *database) close() error {
	err := errors.Join(d.flush(context.Background()), d.bolt.Close())
	d.index.clear()
	return err
}
