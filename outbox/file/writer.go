package file

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const (
	// noteDelay is how long a note waits for a commit to go with, which is what a crash may forget.
	noteDelay = 100 * time.Millisecond
	// maxNotes bounds what waits while the disk fails.
	maxNotes = 100_000
)

// writer commits together what many ask for: while one transaction is synced, the next gathers.
type writer struct {
	path string
	bolt *bbolt.DB

	mu      sync.Mutex
	writes  []*write
	notes   []note
	removed []uint64 // entries that could not be removed when they were settled
	owed    int      // how many of them are in the transaction under way
	closed  bool

	asked chan struct{} // there are writes, or the writer is closed
	noted chan struct{} // there are notes
	ended chan struct{}
}

// write is a part of a transaction.
type write struct {
	do   func(*bbolt.Tx) error
	then func(error)   // the writer calls it when it is known what became of the write, before those who wait learn of it
	done chan struct{} // closed then
	err  error         // to be read then
}

func newWrite() *write { return &write{done: make(chan struct{})} }

func (o *write) end(err error) {
	if o.then != nil {
		o.then(err)
	}
	o.err = err
	close(o.done)
}

// wait returns what became of a write, or ErrUnsure when the context ends before that is known.
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
		return fmt.Errorf("%w: it is still being written: %w", outbox.ErrUnsure, ctx.Err())
	}
}

func unsure(err error) bool { return errors.Is(err, outbox.ErrUnsure) }

// note is an event to remember.
type note struct {
	event [16]byte
	until time.Time
}

func newWriter(path string, bolt *bbolt.DB) *writer {
	w := &writer{
		path: path, bolt: bolt, asked: make(chan struct{}, 1), noted: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	go w.run()
	return w
}

// submit has a write done in a transaction with others. It waits for nothing.
func (w *writer) submit(one *write) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	w.writes = append(w.writes, one)
	w.mu.Unlock()
	signal(w.asked)
	return nil
}

// do has fn run in a transaction with others, and returns when that is on disk.
func (w *writer) do(fn func(*bbolt.Tx) error) error {
	one := newWrite()
	one.do = fn
	if err := w.submit(one); err != nil {
		return err
	}
	<-one.done
	return one.err
}

// note has an event written with the next transaction.
func (w *writer) note(n note) {
	w.mu.Lock()
	first := len(w.notes) == 0
	if len(w.notes) < maxNotes {
		w.notes = append(w.notes, n)
	}
	w.mu.Unlock()
	if first { // to wake the writer for each would cost more than the note
		signal(w.noted)
	}
}

// removeLater has entries removed with the next transaction that succeeds.
func (w *writer) removeLater(seqs ...uint64) {
	w.mu.Lock()
	w.removed = append(w.removed, seqs...)
	w.mu.Unlock()
	signal(w.noted)
}

// owes reports whether there are entries that removeLater was told of.
func (w *writer) owes() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.removed)+w.owed > 0
}

// close commits what was asked for, and ends the writer.
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

// commit writes what has gathered, and says whether there is no more to come.
func (w *writer) commit() (last bool) {
	w.mu.Lock()
	writes, notes, removed := w.writes, w.notes, w.removed
	w.writes, w.notes, w.removed, w.owed = nil, nil, nil, len(removed)
	last = w.closed
	w.mu.Unlock()
	if len(writes) == 0 && len(notes) == 0 && len(removed) == 0 {
		return last
	}
	err := w.transact(writes, notes, removed)
	if err != nil {
		err = fmt.Errorf("%s cannot be written: %w", w.path, err)
		w.keep(notes, removed)
	} else if len(removed) > 0 {
		w.paid()
	}
	for _, one := range writes {
		one.end(err)
	}
	return last
}

// keep has notes and removals that could not be written go with the next commit, as many notes as there is room for.
func (w *writer) keep(notes []note, removed []uint64) {
	if len(notes) == 0 && len(removed) == 0 {
		return
	}
	w.mu.Lock()
	w.notes = append(notes, w.notes...)
	w.notes = w.notes[:min(len(w.notes), maxNotes)]
	w.removed, w.owed = append(removed, w.removed...), 0
	w.mu.Unlock()
	signal(w.noted)
}

// paid says that the transaction removed what it had to.
func (w *writer) paid() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owed = 0
}

func (w *writer) transact(writes []*write, notes []note, removed []uint64) error {
	var id int
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
			return putNotes(tx.Bucket(noteBucket), notes)
		})
	})
	if err != nil && w.committed(id) {
		return fmt.Errorf("%w: %w", outbox.ErrUnsure, err)
	}
	return err
}

// committed reports whether a transaction is the one that the file shows: if it failed nevertheless, its last sync did, and it may be on
// disk or not.
func (w *writer) committed(id int) bool {
	shown := -1
	err := boltfile.Guard(w.path, func() error {
		return w.bolt.View(func(tx *bbolt.Tx) error { shown = tx.ID(); return nil })
	})
	return err != nil || id > 0 && shown >= id
}
