package file

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const (
	// noteDelay is how long a note waits for a commit to join. A crash loses the notes of that time.
	noteDelay = 100 * time.Millisecond
	// maxNotes bounds how many notes and vouches wait while the disk fails.
	maxNotes = 100_000
	// maxVouches bounds how many vouches a transaction writes: each touches another page.
	maxVouches = 1024
)

// writer commits the writes of many callers together: while one transaction is synced, it collects the next.
type writer struct {
	path string
	bolt *bbolt.DB

	// Only the goroutine uses these.
	most, counts counts
	shaky        bool         // the latest transaction may not be on disk
	confirm      func() error // must succeed before the next transaction; nil if nothing must
	begun        atomic.Int64 // transactions so far

	mu      sync.Mutex
	writes  []*write
	notes   []note
	vouches map[[16]byte]time.Time
	removed []uint64 // entries that could not be removed when they were settled
	owed    int      // how many of them are in the current transaction
	closed  bool

	asked chan struct{} // there are writes, or the writer is closed
	noted chan struct{} // there are notes
	chore chan func()
	ended chan struct{}
}

// counts has the number of notes and vouches on disk, which are bounded.
type counts struct{ notes, vouched int }

// write is a part of a transaction.
type write struct {
	do   func(*bbolt.Tx) error
	then func(error)   // the writer calls it with the result, before those who wait get it
	done chan struct{} // closed then
	err  error         // may be read then
}

func newWrite() *write { return &write{done: make(chan struct{})} }

func (o *write) end(err error) {
	if o.then != nil {
		o.then(err)
	}
	o.err = err
	close(o.done)
}

// wait returns the result of a write, or ErrUnsure when the context ends first.
func (o *write) wait(ctx context.Context) error {
	select {
	case <-o.done:
		return o.err
	default:
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return fmt.Errorf("%w: the write has not finished: %w", outbox.ErrUnsure, ctx.Err())
	}
}

func unsure(err error) bool { return errors.Is(err, outbox.ErrUnsure) }

func newWriter(path string, bolt *bbolt.DB) *writer {
	return &writer{
		path: path, bolt: bolt, most: counts{maxNoted, outbox.MaxVouched}, vouches: make(map[[16]byte]time.Time),
		asked: make(chan struct{}, 1), noted: make(chan struct{}, 1), chore: make(chan func()), ended: make(chan struct{}),
	}
}

// count counts the notes and vouches on disk.
func (w *writer) count(tx *bbolt.Tx) {
	c := tx.Bucket(noteBucket).Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		w.counts.notes += len(value) / noteSize
	}
	w.counts.vouched = tx.Bucket(vouchOrderBucket).Stats().KeyN
}

// submit adds a write to a transaction with others. It does not wait.
func (w *writer) submit(one *write) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return outbox.ErrNotOpen
	}
	w.writes = append(w.writes, one)
	w.mu.Unlock()
	signal(w.asked)
	return nil
}

// do runs fn in a transaction with others, and returns when that is on disk.
func (w *writer) do(fn func(*bbolt.Tx) error) error {
	one := newWrite()
	one.do = fn
	if err := w.submit(one); err != nil {
		return err
	}
	<-one.done
	return one.err
}

// removeLater removes entries with the next transaction that succeeds.
func (w *writer) removeLater(seqs ...uint64) {
	w.mu.Lock()
	w.removed = append(w.removed, seqs...)
	w.mu.Unlock()
	signal(w.noted)
}

// owes reports whether entries of removeLater are still to be removed.
func (w *writer) owes() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.removed)+w.owed > 0
}

// close commits what was submitted, and ends the writer.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	signal(w.asked)
	<-w.ended
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (w *writer) run() {
	defer close(w.ended)
	var late <-chan time.Time
	for {
		select {
		case <-w.asked:
		case <-late:
		case chore := <-w.chore:
			if w.waited() {
				w.commit()
			}
			chore()
			continue
		case <-w.noted:
			if late == nil {
				late = time.After(noteDelay)
			}
			continue
		}
		late = nil
		if w.commit() {
			return
		}
	}
}

// between runs a function between two transactions, and waits for it. Writes that callers wait for go first.
func (w *writer) between(ctx context.Context, fn func()) error {
	done := make(chan struct{})
	select {
	case w.chore <- func() { defer close(done); fn() }:
		<-done
		return nil
	case <-w.ended:
		return outbox.ErrNotOpen
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waited reports whether there are writes that callers wait for.
func (w *writer) waited() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.writes) > 0
}

// commit writes what was collected, and reports whether it was the last commit.
func (w *writer) commit() (last bool) {
	w.mu.Lock()
	last = w.closed
	writes, removed, words := w.writes, w.removed, words{w.notes, w.takeVouches(last)}
	w.writes, w.notes, w.removed, w.owed = nil, nil, nil, len(removed)
	w.mu.Unlock()
	if len(writes) == 0 && words.none() && len(removed) == 0 {
		return last
	}
	err := w.transact(writes, words, removed)
	if err != nil {
		err = fmt.Errorf("%s cannot be written: %w", w.path, err)
		w.keep(words, removed)
	} else if len(removed) > 0 {
		w.paid()
	}
	for _, one := range writes {
		one.end(err)
	}
	return last
}

// paid records that a transaction removed all that removeLater asked for.
func (w *writer) paid() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owed = 0
}

func (w *writer) transact(writes []*write, words words, removed []uint64) error {
	if w.confirm != nil {
		if err := w.confirm(); err != nil {
			return err
		}
		w.confirm = nil
	}
	var id int
	w.begun.Add(1)
	before := w.counts
	err := boltfile.Guard(w.path, func() error {
		return w.bolt.Update(func(tx *bbolt.Tx) error {
			id = tx.ID()
			for _, one := range writes {
				if err := one.do(tx); err != nil {
					return err
				}
			}
			for _, seq := range removed {
				if err := tx.Bucket(entryBucket).Delete(sequence(seq)); err != nil {
					return err
				}
			}
			if err := w.putNotes(tx, words.notes); err != nil {
				return err
			}
			return w.putVouches(tx, words.vouches)
		})
	})
	if w.shaky = err != nil && w.committed(id); w.shaky {
		return fmt.Errorf("%w: %w", outbox.ErrUnsure, err)
	}
	if err != nil {
		w.counts = before
	}
	return err
}

// committed reports whether the file shows a transaction that failed. Then its last sync failed, and it may or may not be on disk.
func (w *writer) committed(id int) bool {
	shown := -1
	err := boltfile.Guard(w.path, func() error {
		return w.bolt.View(func(tx *bbolt.Tx) error { shown = tx.ID(); return nil })
	})
	return err != nil || id > 0 && shown >= id
}
