package file

import (
	"context"
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
)

// noteSize is how much one note takes: the time until which it counts, in milliseconds, and the event.
const noteSize = 8 + 16

// putNotes writes notes as one value, whose key is behind those of all earlier ones: to append is much cheaper for a tree than to
// insert here and there.
func putNotes(b *bbolt.Bucket, notes []note) error {
	if len(notes) == 0 {
		return nil
	}
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

// recall reads the notes that still count.
func (d *database) recall(ctx context.Context, yield func(event [16]byte)) error {
	now := time.Now()
	return d.enter(func() error {
		return boltfile.Guard(d.path, func() error {
			return d.bolt.View(func(tx *bbolt.Tx) error {
				return tx.Bucket(noteBucket).ForEach(func(_, value []byte) error {
					for _, n := range getNotes(value) {
						if n.until.After(now) {
							yield(n.event)
						}
					}
					return ctx.Err()
				})
			})
		})
	})
}

func (d *database) note(event [16]byte, until time.Time) {
	_ = d.enter(func() error {
		d.writer.note(note{event, until})
		return nil
	})
}
