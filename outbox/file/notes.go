package file

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// noteSize is the size of one note: the time until which it counts, in milliseconds, and the event.
	noteSize = 8 + 16
	// valueNotes bounds the notes in one value: the oldest notes are deleted a value at a time.
	valueNotes = 1024
	// maxNoted bounds the notes on disk, like those in memory: see deliveredSet in the gateway.
	maxNoted = 1_000_000
)

// putNotes writes notes as one value. Its key follows all earlier ones: appending to a tree is much cheaper than inserting into it. Above
// the bound, the oldest value is deleted.
func (w *writer) putNotes(tx *bbolt.Tx, notes []note) error {
	b := tx.Bucket(noteBucket)
	for some := range slices.Chunk(notes, valueNotes) {
		if err := appendNotes(b, some); err != nil {
			return err
		}
	}
	w.counts.notes += len(notes)
	for w.counts.notes > w.most.notes {
		oldest, _ := b.Cursor().First()
		if err := w.deleteNotes(tx, oldest); err != nil {
			return err
		}
	}
	return nil
}

// deleteNotes deletes a value, which may be gone already.
func (w *writer) deleteNotes(tx *bbolt.Tx, key []byte) error {
	b := tx.Bucket(noteBucket)
	w.counts.notes -= len(b.Get(key)) / noteSize
	return b.Delete(key)
}

func appendNotes(b *bbolt.Bucket, notes []note) error {
	seq, err := b.NextSequence()
	if err != nil {
		return err
	}
	value := make([]byte, 0, len(notes)*noteSize)
	for _, n := range notes {
		value = binary.BigEndian.AppendUint64(value, uint64(n.until.UnixMilli()))
		value = append(value, n.event[:]...)
	}
	return b.Put(sequence(seq), value)
}

// getNotes reads what putNotes wrote.
func getNotes(value []byte) (notes []note) {
	for ; len(value) >= noteSize; value = value[noteSize:] {
		notes = append(notes, note{
			event: [16]byte(value[8:noteSize]), until: time.UnixMilli(int64(binary.BigEndian.Uint64(value))),
		})
	}
	return notes
}

// recall reads the notes that still count, a few values at a time: read transactions must be brief.
func (d *database) recall(ctx context.Context, yield func(event [16]byte)) error {
	now := time.Now()
	for from := []byte{}; from != nil; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var some []note
		if err := d.Enter(func() (err error) {
			some, from, err = d.notesFrom(from)
			return err
		}); err != nil {
			return err
		}
		for _, n := range some {
			if n.until.After(now) {
				yield(n.event)
			}
		}
	}
	return nil
}

// notesFrom reads the notes of some values. It also returns the key of the next value, which is nil at the end.
func (d *database) notesFrom(from []byte) (some []note, next []byte, err error) {
	err = d.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(noteBucket).Cursor()
		for key, value := c.Seek(from); key != nil; key, value = c.Next() {
			if len(some) >= maxRead {
				next = bytes.Clone(key)
				return nil
			}
			some = append(some, getNotes(value)...)
		}
		return nil
	})
	return some, next, err
}

// maxRead bounds how many notes or vouches one transaction reads. The last value may exceed it.
const maxRead = 4096

func (d *database) note(event [16]byte, until time.Time) {
	_ = d.Enter(func() error {
		d.writer.note(note{event, until})
		return nil
	})
}
