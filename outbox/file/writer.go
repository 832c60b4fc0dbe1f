package file

import (
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
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
	closed  bool

	asked chan struct{} // there are writes, or the writer is closed
	noted chan struct{} // there are notes
	ended chan struct{}
}

// write is a part of a transaction.
type write struct {
	do   func(*bbolt.Tx) error
	done chan error
}

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

// do has fn run in a transaction with others, and returns when that is on disk.
func (w *writer) do(fn func(*bbolt.Tx) error) error {
	one := &write{do: fn, done: make(chan error, 1)}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	w.writes = append(w.writes, one)
	w.mu.Unlock()
	signal(w.asked)
	return <-one.done
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

// removeLater has an entry removed with the next transaction that succeeds.
func (w *writer) removeLater(seq uint64) {
	w.mu.Lock()
	w.removed = append(w.removed, seq)
	w.mu.Unlock()
	signal(w.noted)
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
	w.writes, w.notes, w.removed = nil, nil, nil
	last = w.closed
	w.mu.Unlock()
	if len(writes) == 0 && len(notes) == 0 && len(removed) == 0 {
		return last
	}
	err := w.transact(writes, notes, removed)
	if err != nil {
		err = fmt.Errorf("%s cannot be written: %w", w.path, err)
		w.keep(notes, removed)
	}
	for _, one := range writes {
		one.done <- err
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
	w.removed = append(removed, w.removed...)
	w.mu.Unlock()
	signal(w.noted)
}

func (w *writer) transact(writes []*write, notes []note, removed []uint64) error {
	return boltfile.Guard(w.path, func() error {
		return w.bolt.Update(func(tx *bbolt.Tx) error {
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
}
