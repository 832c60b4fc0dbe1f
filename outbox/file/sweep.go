package file

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const (
	// sweepInterval, sweepGrace and the duration of a sweep add up to less than an hour. So a delivered, dropped or expired push is gone from
	// the file within an hour.
	sweepInterval = 10 * time.Minute
	// sweepGrace leaves it to the workers to give up expired pushes. The sweep is for apps that are no longer configured, and for devices that
	// have not been tried for long.
	sweepGrace = 30 * time.Minute
	// maxSwept bounds a transaction: pushes that are accepted meanwhile wait for it.
	maxSwept = 1024
)

// sweep removes expired entries, and wipes removed ones from the file, until the context ends. It begins with what an earlier process left
// in the file.
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

// sweepOnce runs each function once, as far as it can.
func (d *database) sweepOnce(ctx context.Context, do ...func(context.Context) error) {
	err := d.Enter(func() (err error) {
		for _, one := range do {
			err = errors.Join(err, one(ctx))
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		d.Log().Error("the outbox cannot be cleaned up", "file", d.path, "error", err)
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
		d.Log().Info("expired pushes removed from the outbox", "file", d.path, "pushes", len(expired))
		lost := make(map[string]int)
		for _, p := range expired {
			lost[p.app]++
		}
		for app, n := range lost {
			d.losses.Lost(app, outbox.LossExpired, n)
		}
	}
}

// sweepNotes removes the values of which no note counts any more. Notes are in the order in which they were made, which is nearly the order
// in which they end.
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
