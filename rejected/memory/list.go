package memory

import (
	"bytes"
	"slices"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// list reads a page. The table does not order its keys, so each page sorts the remaining ones. Requests wait only while the keys are copied
// and while the page is read. The cursor is the key of the next record, which may be gone when it is used.
func (t *table) list(q rejected.Query) (page []rejected.Entry, next string, err error) {
	from, err := q.From()
	if err != nil {
		return nil, "", err
	}
	keys, err := t.keys()
	if err != nil {
		return nil, "", err
	}
	keys = slices.DeleteFunc(keys, func(k rejected.Key) bool { return compare(k, from) < 0 || !q.Matches(k) })
	slices.SortFunc(keys, compare)
	if size := q.Size(); len(keys) > size {
		keys, next = keys[:size], keys[size].String()
	}
	if page, err = t.read(keys); err != nil {
		return nil, "", err
	}
	return page, next, nil
}

func (t *table) keys() ([]rejected.Key, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.records == nil {
		return nil, rejected.ErrNotOpen
	}
	return t.records.Keys(), nil
}

// read returns the records of those keys that still have one.
func (t *table) read(keys []rejected.Key) (page []rejected.Entry, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.records == nil {
		return nil, rejected.ErrNotOpen
	}
	now := t.now()
	for _, key := range keys {
		if p, ok := t.current(key, now); ok {
			page = append(page, rejected.Entry{Key: key, Record: p.record()})
		}
	}
	return page, nil
}

func compare(a, b rejected.Key) int { return bytes.Compare(a[:], b[:]) }
