package file

import (
	"bytes"
	"context"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
)

const (
	sweepInterval = 10 * time.Minute
	// sweepGrace leaves it to the workers to give up what has expired. The sweep is for apps that nobody serves any more.
	sweepGrace = 2 * time.Hour
	// maxSwept bounds a transaction: it holds up the pushes that are accepted meanwhile.
	maxSwept = 1024
)

// sweep removes what has expired, until the context ends.
func (d *database) sweep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepInterval):
		}
		err := d.enter(func() error {
			if err := d.sweepEntries(); err != nil {
				return err
			}
			return d.sweepNotes()
		})
		if err != nil {
			d.log.Load().Error("the outbox cannot be swept", "file", d.path, "error", err)
		}
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
		d.log.Load().Info("pushes in the outbox have expired", "file", d.path, "pushes", len(expired))
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
				if err := tx.Bucket(noteBucket).Delete(key); err != nil {
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
	err = boltfile.Guard(d.path, func() error {
		return d.bolt.View(func(tx *bbolt.Tx) error {
			c := tx.Bucket(noteBucket).Cursor()
			for key, value := c.First(); key != nil && len(over) < maxSwept; key, value = c.Next() {
				if slices.ContainsFunc(getNotes(value), func(n note) bool { return n.until.After(now) }) {
					break
				}
				over = append(over, bytes.Clone(key))
			}
			return nil
		})
	})
	return over, err
}
