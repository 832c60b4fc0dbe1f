package file

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// sweepInterval, sweepGrace and the time that a sweep takes are less than an hour together: that is how long what is delivered, dropped
	// or expired can be found in the file at most.
	sweepInterval = 10 * time.Minute
	// sweepGrace leaves it to the workers to give up what has expired. The sweep is for apps that nobody serves any more, and for devices
	// that are left alone for long.
	sweepGrace = 30 * time.Minute
	// maxSwept bounds a transaction: it holds up the pushes that are accepted meanwhile.
	maxSwept = 1024
)

// sweep removes what has expired, and what was removed from the file, until the context ends. It begins with the file as an earlier process
// left it.
func (d *database) sweep(ctx context.Context) {
	d.sweepOnce(ctx, d.wipe)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(d.every):
		}
		d.sweepOnce(ctx, func(context.Context) error { return d.sweepEntries() }, func(context.Context) error { return d.sweepNotes() },
			d.sweepVouches, d.wipe)
	}
}

// sweepOnce does all that it can of what there is to do.
func (d *database) sweepOnce(ctx context.Context, do ...func(context.Context) error) {
	err := d.Enter(func() (err error) {
		for _, one := range do {
			err = errors.Join(err, one(ctx))
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		d.Log().Error("the outbox cannot be swept", "file", d.path, "error", err)
	}
}

func (d *database) sweepEntries() error {
	for {
		expired := d.index.expired(time.Now().Add(-sweepGrace), maxSwept)
		if len(expired) == 0 {
			return nil
		}
		if err := d.remove(context.Background(), expired, func(err error) {
			if err == nil {
				d.index.drop(expired...)
			}
		}); err != nil {
			return err
		}
		d.Log().Info("pushes in the outbox have expired", "file", d.path, "pushes", len(expired))
	}
}

// sweepNotes removes the notes of which none counts any more. They lie in the order in which they were made, which is nearly that in
// which they end.
func (d *database) sweepNotes() error {
	for {
		over, err := d.oldNotes(time.Now())
		if err != nil || len(over) == 0 {
			return err
		}
		err = d.writer.do(func(tx *bbolt.Tx) error {
			for _, key := range over {
				if err := d.writer.deleteNotes(tx, key); err != nil {
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

func (d *database) oldNotes(now time.Time) (over [][]byte, err error) {
	err = d.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(noteBucket).Cursor()
		for key, value := c.First(); key != nil && len(over) < maxSwept; key, value = c.Next() {
			if slices.ContainsFunc(getNotes(value), func(n note) bool { return n.until.After(now) }) {
				break
			}
			over = append(over, bytes.Clone(key))
		}
		return nil
	})
	return over, err
}
