package file

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

// Vouches are kept only on disk: those who need them have them in memory. One bucket has the end of each key's vouch. The other has the
// keys in the order in which they end, so the first ones are found without looking at the others.

// orderSize is the size of a key in the second bucket: the time in milliseconds, and the key.
const orderSize = 8 + 16

func orderOf(until []byte, key []byte) []byte { return append(bytes.Clone(until), key...) }

// putVouches writes vouches. Of two times for a key, the later counts. Above the bound, those that end first are deleted.
func (w *writer) putVouches(tx *bbolt.Tx, vouches map[[16]byte]time.Time) error {
	if len(vouches) == 0 {
		return nil
	}
	times, order := tx.Bucket(vouchBucket), tx.Bucket(vouchOrderBucket)
	for key, end := range vouches {
		until := binary.BigEndian.AppendUint64(nil, uint64(max(0, end.UnixMilli())))
		before := bytes.Clone(times.Get(key[:]))
		if bytes.Compare(before, until) >= 0 {
			continue
		}
		if before == nil {
			w.counts.vouched++
		}
		err := order.Delete(orderOf(before, key[:]))
		if err = errors.Join(err, times.Put(key[:], until), order.Put(orderOf(until, key[:]), []byte{})); err != nil {
			return err
		}
	}
	for w.counts.vouched > w.most.vouched {
		first, _ := order.Cursor().First()
		if err := w.deleteVouch(tx, first); err != nil {
			return err
		}
	}
	return nil
}

// deleteVouch deletes the vouch that a key of the second bucket names. It may be gone already.
func (w *writer) deleteVouch(tx *bbolt.Tx, name []byte) error {
	times, order := tx.Bucket(vouchBucket), tx.Bucket(vouchOrderBucket)
	if order.Get(name) == nil {
		return nil
	}
	w.counts.vouched--
	name = bytes.Clone(name)
	if len(name) == orderSize {
		if err := times.Delete(name[8:]); err != nil {
			return err
		}
	}
	return order.Delete(name)
}

// vouched reads the vouches that still count, a few at a time: read transactions must be brief.
func (d *database) vouched(ctx context.Context, yield func(key [16]byte)) error {
	// A vouch ends at its time, like a note.
	from := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixMilli()+1))
	for from != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		var some [][16]byte
		if err := d.Enter(func() (err error) {
			some, from, err = d.vouchedFrom(from)
			return err
		}); err != nil {
			return err
		}
		for _, key := range some {
			yield(key)
		}
	}
	return nil
}

// vouchedFrom reads some keys of the second bucket. It also returns the next one, which is nil at the end.
func (d *database) vouchedFrom(from []byte) (some [][16]byte, next []byte, err error) {
	err = d.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(vouchOrderBucket).Cursor()
		for name, _ := c.Seek(from); name != nil; name, _ = c.Next() {
			if len(some) == maxRead {
				next = bytes.Clone(name)
				return nil
			}
			if len(name) == orderSize {
				some = append(some, [16]byte(name[8:]))
			}
		}
		return nil
	})
	return some, next, err
}

func (d *database) vouch(key [16]byte, until time.Time) {
	_ = d.Enter(func() error {
		d.writer.vouch(key, until)
		return nil
	})
}

// sweepVouches removes those that have ended, in bounded transactions.
func (d *database) sweepVouches(ctx context.Context) error {
	for {
		over, err := d.oldVouches(time.Now())
		if err = errors.Join(err, ctx.Err()); err != nil || len(over) == 0 {
			return err
		}
		err = d.writer.do(func(tx *bbolt.Tx) error {
			for _, name := range over {
				if err := d.writer.deleteVouch(tx, name); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

func (d *database) oldVouches(now time.Time) (over [][]byte, err error) {
	end := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()+1))
	err = d.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(vouchOrderBucket).Cursor()
		for name, _ := c.First(); name != nil && len(over) < maxSwept && bytes.Compare(name, end) < 0; name, _ = c.Next() {
			over = append(over, bytes.Clone(name))
		}
		return nil
	})
	return over, err
}
