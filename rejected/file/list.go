package file

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
	"github.com/matrix-push/caddy-matrix-push/rejected/internal/until"
)

// list reads a page in its own transaction, which ends after maxReads records, however few of them match. The cursor is the key of the next
// record, which may be gone when it is used.
func (d *database) list(ctx context.Context, q rejected.Query) ([]rejected.Entry, string, error) {
	from, err := q.From()
	if err != nil {
		return nil, "", err
	}
	type page struct {
		entries []rejected.Entry
		next    string
	}
	p, err := until.Run(ctx, d.reads, func() (p page, err error) {
		err = d.view(func(b *bbolt.Bucket) error {
			p.entries, p.next = d.readPage(b.Cursor(), from, q)
			return nil
		})
		return p, err
	})
	if err != nil {
		return nil, "", d.late(ctx, err)
	}
	return p.entries, p.next, nil
}

func (d *database) readPage(c *bbolt.Cursor, from rejected.Key, q rejected.Query) (page []rejected.Entry, next string) {
	reads := 0
	for name, value := c.Seek(from[:]); name != nil; name, value = c.Next() {
		if len(name) != len(from) {
			continue // not a key, so it cannot be a cursor either
		}
		key := rejected.Key(name)
		if !q.Matches(key) {
			break // the keys with a prefix follow each other
		}
		if reads == maxReads || len(page) == q.Size() {
			return page, key.String()
		}
		reads++
		if r, ok := d.current(key, value); ok {
			page = append(page, rejected.Entry{Key: key, Record: r})
		}
	}
	return page, ""
}
