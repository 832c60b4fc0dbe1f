package file

import (
	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// list reads a page in a transaction of its own, which ends after maxReads records, however few of them are asked for. The cursor is the
// key of the next record, which need not be there any more when it is used.
func (d *database) list(q rejected.Query) (page []rejected.Entry, next string, err error) {
	from, err := q.From()
	if err != nil {
		return nil, "", err
	}
	err = d.view(func(b *bbolt.Bucket) error {
		page, next = d.readPage(b.Cursor(), from, q)
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

func (d *database) readPage(c *bbolt.Cursor, from rejected.Key, q rejected.Query) (page []rejected.Entry, next string) {
	reads := 0
	for name, value := c.Seek(from[:]); name != nil; name, value = c.Next() {
		if len(name) != len(from) {
			continue // no key, and so no cursor either
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
