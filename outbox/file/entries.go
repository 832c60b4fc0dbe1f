package file

import (
	"context"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func (d *database) accept(e outbox.Entry) error {
	return d.enter(func() error {
		size := len(e.Push)
		seq, replaced, err := d.index.reserve(&e, size, time.Now())
		if err != nil {
			return err
		}
		value, err := encode(seq, &e)
		if err == nil {
			err = d.writer.do(func(tx *bbolt.Tx) error { return put(tx, &e, seq, value, replaced) })
		}
		if err != nil {
			d.index.cancel(&e, size)
			return err
		}
		if e.Running {
			d.hold(e.ID)
		}
		d.index.add(&e, seq, size, replaced, time.Now())
		return nil
	})
}

// put writes an entry in place of others, and that its event needs no other delivery.
func put(tx *bbolt.Tx, e *outbox.Entry, seq uint64, value []byte, replaced []*item) error {
	for _, it := range replaced {
		if err := tx.Bucket(entryBucket).Delete(sequence(it.seq)); err != nil {
			return err
		}
	}
	if e.Event != ([16]byte{}) {
		if err := putNotes(tx.Bucket(noteBucket), []note{{e.Event, e.EventUntil}}); err != nil {
			return err
		}
	}
	return tx.Bucket(entryBucket).Put(sequence(seq), value)
}

// remove removes entries from the disk.
func (d *database) remove(places ...place) error {
	return d.writer.do(func(tx *bbolt.Tx) error {
		for _, p := range places {
			if err := tx.Bucket(entryBucket).Delete(sequence(p.item.seq)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *database) settle(r outbox.Ref) error {
	defer d.letGo(r.ID)
	return d.enter(func() error {
		it, ok := d.index.find(r)
		var err error
		if ok {
			if err = d.remove(place{r.App, r.Device, it}); err != nil {
				d.writer.removeLater(it.seq)
			}
		}
		// Also if the disk fails: what was delivered is not to be delivered again.
		d.index.settle(r, time.Now())
		return err
	})
}

func (d *database) release(r outbox.Ref, due time.Time) {
	d.index.release(r, due)
	d.letGo(r.ID)
}

func (d *database) discard(app string, device [16]byte, pushkeyTS int64) error {
	return d.enter(func() error {
		places := d.index.older(app, device, pushkeyTS)
		if len(places) == 0 {
			return nil
		}
		if err := d.remove(places...); err != nil {
			return err
		}
		d.index.drop(places...)
		return nil
	})
}

func (d *database) waiting(app string, device [16]byte) (waits bool, err error) {
	err = d.enter(func() error {
		waits = d.index.waiting(app, device)
		return nil
	})
	return waits, err
}

func (d *database) lease(ctx context.Context, app string, n int) ([]outbox.Leased, error) {
	for {
		if err := d.enter(func() error { return nil }); err != nil {
			return nil, err
		}
		granted, err := d.index.lease(ctx, app, n, time.Now)
		if err != nil {
			return nil, err
		}
		leased, err := d.read(granted)
		if err != nil || len(leased) > 0 {
			return leased, err
		}
	}
}

// read reads what was leased. What was removed meanwhile is passed over. What has become unreadable is forgotten, as nothing can be made
// of it.
func (d *database) read(granted []grant) (leased []outbox.Leased, err error) {
	err = d.enter(func() error {
		return boltfile.Guard(d.path, func() error {
			return d.bolt.View(func(tx *bbolt.Tx) error {
				for _, g := range granted {
					value := tx.Bucket(entryBucket).Get(sequence(g.item.seq))
					e, err := decode(g.item.seq, value)
					if err != nil {
						if value != nil {
							d.log.Load().Error("an entry of the outbox is unreadable", "file", d.path, "app", g.app)
						}
						d.index.settle(outbox.Ref{App: g.app, Device: g.device, ID: g.item.id}, time.Now())
						continue
					}
					d.hold(e.ID)
					leased = append(leased, outbox.Leased{Entry: *e, Attempts: g.tries})
				}
				return nil
			})
		})
	})
	return leased, err
}
