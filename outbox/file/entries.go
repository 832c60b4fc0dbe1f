package file

import (
	"context"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func (d *database) accept(ctx context.Context, e outbox.Entry) (displaced []outbox.Ref, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = d.Enter(func() error {
		a, as, err := d.index.reserve(&e, time.Now())
		if err != nil || as == late {
			return err
		}
		if as == fresh {
			d.write(a)
		}
		if as == fresh || as == joined {
			err = a.write.wait(ctx)
		}
		if a != nil {
			displaced = d.index.took(a)
		}
		if err == nil && as != fresh {
			d.acceptedAgain(&e)
		}
		return err
	})
	return displaced, err
}

// acceptedAgain keeps the file open for the attempt at an entry that was accepted before, or ends that attempt.
func (d *database) acceptedAgain(e *outbox.Entry) {
	if e.Running {
		d.Hold(e.ID)
	}
	if !e.Running || d.index.settled(e.Ref()) {
		d.LetGoSoon(e.ID)
	}
}

// write submits an entry to the writer, which reports the result to the index whether or not the caller still waits.
func (d *database) write(a *arrival) {
	value, err := encode(a.seq, a.e)
	a.write.then = func(err error) { d.arrived(a, err) }
	w := d.writer
	a.write.do = func(tx *bbolt.Tx) error { return d.put(tx, w, a, value) }
	if err == nil {
		err = w.submit(a.write)
	}
	if err != nil {
		a.write.end(err)
	}
}

// put writes an entry and removes those that it replaces or displaces. It also notes that the entry's event needs no other delivery.
func (d *database) put(tx *bbolt.Tx, w *writer, a *arrival, value []byte) error {
	if a.e.Event != ([16]byte{}) {
		if err := w.putNotes(tx, []note{{a.e.Event, a.e.EventUntil}}); err != nil {
			return err
		}
	}
	if !d.index.put(a) {
		return nil
	}
	for _, seq := range a.outgoing() {
		if err := tx.Bucket(entryBucket).Delete(sequence(seq)); err != nil {
			return err
		}
	}
	entries := tx.Bucket(entryBucket)
	entries.FillPercent = 1 // nothing is ever put between two of them
	return entries.Put(sequence(a.seq), value)
}

// arrived receives the result of an entry's write from the writer.
func (d *database) arrived(a *arrival, err error) {
	if err == nil && a.e.Running {
		d.Hold(a.e.ID)
	}
	if runs := d.index.arrived(a, err, time.Now()); err == nil && a.e.Running && !runs {
		d.LetGoSoon(a.e.ID) // the attempt ended before the write did
	}
	strays := a.strays
	if unsure(err) {
		strays = append(strays, a.seq)
	}
	if len(strays) > 0 {
		d.writer.removeLater(strays...)
	}
}

// remove removes entries from the disk. It calls then with the result once that is known.
func (d *database) remove(ctx context.Context, places []place, then func(error)) error {
	seqs := make([]uint64, len(places))
	for i, p := range places {
		seqs[i] = p.item.seq
	}
	return d.erase(ctx, seqs, then)
}

func (d *database) erase(ctx context.Context, seqs []uint64, then func(error)) error {
	w := newWrite()
	w.then = then
	w.do = func(tx *bbolt.Tx) error {
		for _, seq := range seqs {
			if err := tx.Bucket(entryBucket).Delete(sequence(seq)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := d.writer.submit(w); err != nil {
		then(err)
		return err
	}
	return w.wait(ctx)
}

// settle works even if the context has ended or the disk fails: a delivered push must not be delivered again.
func (d *database) settle(ctx context.Context, r outbox.Ref) error {
	defer d.LetGo(ctx, r.ID)
	return d.Enter(func() error {
		seq, found := d.index.leave(r, time.Now())
		if found {
			return d.erase(ctx, []uint64{seq}, func(err error) {
				if err != nil {
					d.writer.removeLater(seq)
				}
				d.index.settle(r, time.Now())
			})
		}
		d.index.settle(r, time.Now()) // it was discarded or replaced, but still has the lease
		if d.writer.owes() {          // it may have been settled before, and its removal failed
			return d.erase(ctx, nil, func(error) {})
		}
		return nil
	})
}

func (d *database) release(ctx context.Context, r outbox.Ref, due time.Time, tried bool) {
	d.index.release(r, due, tried)
	d.LetGo(ctx, r.ID)
}

func (d *database) discard(ctx context.Context, app string, device [16]byte, pushkeyTS int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.Enter(func() error {
		places, seqs := d.index.older(app, device, pushkeyTS, time.Now())
		coming := len(seqs)
		for _, p := range places {
			seqs = append(seqs, p.item.seq)
		}
		if len(seqs) == 0 {
			return nil
		}
		return d.erase(ctx, seqs, func(err error) {
			if err == nil {
				d.index.drop(places...)
			} else if coming > 0 {
				d.writer.removeLater(seqs[:coming]...)
			}
		})
	})
}

func (d *database) waiting(app string, device [16]byte) (waits bool, err error) {
	err = d.Enter(func() error {
		waits = d.index.waiting(app, device)
		return nil
	})
	return waits, err
}

func (d *database) lease(ctx context.Context, app string, n int) ([]outbox.Leased, error) {
	for {
		if err := d.Enter(func() error { return nil }); err != nil {
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

// read reads the leased entries. It skips entries that were removed meanwhile. It forgets entries that have become unreadable, as nobody
// can deliver them.
func (d *database) read(granted []grant) (leased []outbox.Leased, err error) {
	err = d.Enter(func() error {
		return d.view(func(tx *bbolt.Tx) error {
			for _, g := range granted {
				value := tx.Bucket(entryBucket).Get(sequence(g.item.seq))
				e, err := decode(g.item.seq, value)
				if err != nil {
					if value != nil {
						d.Log().Error("unreadable entry in the outbox", "file", d.path, "app", g.app)
						d.losses.Lost(g.app, outbox.LossUnreadable, 1)
					}
					d.index.settle(outbox.Ref{App: g.app, Device: g.device, ID: g.item.id}, time.Now())
					continue
				}
				d.Hold(e.ID)
				leased = append(leased, outbox.Leased{Entry: *e, Attempts: g.tries})
			}
			return nil
		})
	})
	return leased, err
}
