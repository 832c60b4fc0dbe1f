package file

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/until"
)

// migratedBucket has the names of the changes that the records went through, with empty values. Earlier gateways ignore it.
var migratedBucket = []byte("migrated")

func (d *database) migrated(ctx context.Context, change string) (bool, error) {
	done, err := until.Run(ctx, d.reads, func() (done bool, err error) {
		err = d.enter(func() error {
			return d.read(func(tx *bbolt.Tx) error {
				b := tx.Bucket(migratedBucket)
				done = b != nil && b.Get(nameOf(change)) != nil
				return nil
			})
		})
		return done, err
	})
	return done, d.late(ctx, err)
}

func (d *database) noteMigrated(ctx context.Context, change string) error {
	return d.late(ctx, until.Do(ctx, d.writes, func() error {
		return d.enter(func() error {
			return d.write(func(tx *bbolt.Tx) error {
				return boltfile.Guard(d.path, func() error { // see update
					b, err := tx.CreateBucketIfNotExists(migratedBucket)
					if err != nil {
						return err
					}
					return b.Put(nameOf(change), []byte{})
				})
			})
		})
	}))
}

// nameOf returns a change's key, which must not be empty in bbolt.
func nameOf(change string) []byte { return []byte("/" + change) }
