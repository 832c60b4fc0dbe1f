package file

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/until"
)

const (
	maxReading = 64
	maxWriting = 2048 // two transactions, of as many as share one at most
)

// database is one file and its index. It is made closed, opened by the first configuration that goes live, and closed with the last.
type database struct {
	path  string
	clock clock
	index index

	opened atomic.Bool // what a lookup asks, which needs no more
	crowd  chan struct{}
	// of the newest live configuration
	expire, maxEntries atomic.Int64

	// gate is held for reading during every use of bolt, so that closing waits for what is in flight.
	gate sync.RWMutex
	bolt *bbolt.DB // nil when it is not open

	life    sync.Mutex // opening, closing, and live
	live    []*Store   // whose settings may apply, newest last
	closed  bool
	stop    context.CancelFunc
	stopped chan struct{}

	// reads and writes are the calls that go on, among them those on a disk that hangs: a read keeps a thread of the system then.
	reads, writes until.Calls

	// step is called at each step of loading a shard; it does nothing, but for tests.
	step func(ctx context.Context, s step, shard int)

	// write runs a function in a transaction shared with others that come at the same time, and read in one that reads; bolt.Batch and
	// bolt.View, but for tests.
	write, read func(func(*bbolt.Tx) error) error
}

// clock is the time, and the waiting; the zero clock is the real one.
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
	return &database{
		path: path, clock: c, crowd: make(chan struct{}, 1), step: func(context.Context, step, int) {},
		reads: make(until.Calls, maxReading), writes: make(until.Calls, maxWriting),
	}
}

// open opens the file if it is not open yet, and makes s the newest configuration that went live. It returns how many unreadable
// records it found, if the file was loaded so soon.
func (d *database) open(ctx context.Context, s *Store) (skipped int, err error) {
	d.life.Lock()
	defer d.life.Unlock()
	if d.closed {
		return 0, rejected.ErrNotOpen
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if !d.opened.Load() {
		if skipped, err = d.start(ctx, s); err != nil {
			return 0, err
		}
	}
	if !slices.Contains(d.live, s) {
		d.live = append(d.live, s)
	}
	d.apply()
	return skipped, nil
}

// start opens the file, starts loading it, and waits a moment for the end of that; the caller holds life.
func (d *database) start(ctx context.Context, s *Store) (skipped int, err error) {
	bolt, file, err := boltfile.Open(d.path, s.log)
	if err != nil {
		return 0, err
	}
	if err := makeBucket(bolt, d.path); err != nil {
		return 0, errors.Join(err, bolt.Close())
	}
	d.gate.Lock()
	bolt.MaxBatchDelay = batchDelay
	d.bolt, d.write, d.read = bolt, bolt.Batch, bolt.View
	d.gate.Unlock()
	d.expire.Store(int64(s.Expire))

	running, stop := context.WithCancel(context.Background())
	d.stop, d.stopped = stop, make(chan struct{})
	l := newLoading()
	go func() {
		defer close(d.stopped)
		readAll(running, file)
		if d.load(running, l) {
			d.run(running)
		}
	}()
	found := l.wait(ctx, d.clock.after(patience))
	if found.err != nil {
		d.stop()
		<-d.stopped
		return 0, errors.Join(found.err, d.shut())
	}
	d.opened.Store(true)
	return found.skipped, nil
}

// release forgets a configuration; the settings of the newest other one apply again.
func (d *database) release(s *Store) {
	d.life.Lock()
	defer d.life.Unlock()
	d.live = slices.DeleteFunc(d.live, func(o *Store) bool { return o == s })
	d.apply()
}

func (d *database) apply() {
	if n := len(d.live); n > 0 {
		d.expire.Store(int64(d.live[n-1].Expire))
		d.maxEntries.Store(int64(d.live[n-1].MaxEntries))
	}
}

// logger is that of the newest live configuration.
func (d *database) logger() *slog.Logger {
	d.life.Lock()
	defer d.life.Unlock()
	if n := len(d.live); n > 0 {
		return d.live[n-1].log
	}
	return slog.New(slog.DiscardHandler)
}

// Destruct closes the file when the last configuration is gone: it ends loading and the sweeper, writes down what was seen, and waits for the
// operations in flight. Later ones get ErrNotOpen.
func (d *database) Destruct() error {
	d.life.Lock()
	d.closed = true
	wasOpen := d.opened.Load()
	d.life.Unlock() // the sweeper may be waiting for it
	if !wasOpen {
		return nil
	}
	d.stop()
	<-d.stopped
	flushErr := d.flush(context.Background())
	d.opened.Store(false)
	return errors.Join(flushErr, d.shut())
}

// shut closes the file when nothing uses it any more.
func (d *database) shut() error {
	d.gate.Lock()
	defer d.gate.Unlock()
	err := d.bolt.Close()
	d.bolt = nil
	d.index.clear()
	return err
}

// Interface guard
var _ caddy.Destructor = (*database)(nil)
