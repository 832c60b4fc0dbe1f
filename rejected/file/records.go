package file

import (
	"math"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func (d *database) lookup(keys []rejected.Key, marks []rejected.Mark) error {
	if !d.opened.Load() {
		clear(marks)
		return rejected.ErrNotOpen
	}
	now := second(d.clock.now())
	crowded := false
	for i, key := range keys {
		m, c, loaded := d.index.lookup(key, now)
		if !loaded {
			var err error
			if m, c, err = d.ask(key, m, now); err != nil {
				clear(marks)
				return err
			}
		}
		marks[i], crowded = m, crowded || c
	}
	if crowded {
		select {
		case d.crowd <- struct{}{}:
		default: // it is on its way
		}
	}
	return nil
}

// ask asks the file for a key that is not loaded yet. A verdict since the start counts also if the file cannot tell what was before.
func (d *database) ask(key rejected.Key, since rejected.Mark, now uint32) (m rejected.Mark, crowded bool, err error) {
	m = since
	err = d.view(func(b *bbolt.Bucket) error {
		if r, ok := d.current(key, b.Get(key[:])); ok {
			m = grown(m, r.Mark())
		}
		return nil
	})
	if m == (rejected.Mark{}) {
		return m, false, err
	}
	if err == nil { // or that it was seen cannot be written down, either
		crowded = d.index.see(key, now)
	}
	return m, crowded, nil
}

// reject changes the index inside the transaction, where changes of one key have an order. A verdict that cannot be written
// still counts until the process ends.
func (d *database) reject(key rejected.Key, v rejected.Verdict) error {
	err := d.update(func(b *bbolt.Bucket) error {
		value := b.Get(key[:])
		r, ok := d.current(key, value)
		if !ok && value != nil {
			d.index.remove(key) // nothing of what expired counts any more
		}
		r = r.Add(v)
		if err := d.makeRoom(b, key); err != nil {
			return err
		}
		d.index.raise(key, r.Mark())
		return b.Put(key[:], encode(key, r))
	})
	if err != nil && d.opened.Load() {
		d.index.raise(key, rejected.Record{}.Add(v).Mark())
	}
	return err
}

// makeRoom removes others where there are too many for a new one.
func (d *database) makeRoom(b *bbolt.Bucket, key rejected.Key) error {
	most := int(d.maxEntries.Load())
	if most == 0 {
		return nil // no configuration is live yet
	}
	for _, other := range d.index.crowdOut(key, (most+shards-1)/shards) {
		if err := b.Delete(other[:]); err != nil {
			return err
		}
	}
	return nil
}

func (d *database) get(key rejected.Key) (r rejected.Record, err error) {
	err = d.view(func(b *bbolt.Bucket) error {
		value := b.Get(key[:])
		var ok bool
		if r, ok = d.current(key, value); ok {
			return nil
		}
		if value == nil {
			r, ok = d.unsaved(key)
		}
		if !ok {
			return rejected.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return rejected.Record{}, err
	}
	return r, nil
}

// unsaved is what the index alone knows, of a verdict that could not be written.
func (d *database) unsaved(key rejected.Key) (rejected.Record, bool) {
	m, _ := d.index.peek(key)
	return rejected.Record{
		Condemned: int64(m.Condemned) * 1000,
		ProbeAt:   time.Unix(int64(m.ProbeAt), 0),
		Verdicts:  1,
	}, m != rejected.Mark{}
}

func (d *database) forget(key rejected.Key) error {
	err := d.update(func(b *bbolt.Bucket) error {
		d.index.remove(key)
		return b.Delete(key[:])
	})
	if err != nil {
		// What is still on disk is still known.
		_ = d.view(func(b *bbolt.Bucket) error {
			if r, ok := d.current(key, b.Get(key[:])); ok {
				d.index.raise(key, r.Mark())
			}
			return nil
		})
	}
	return err
}

// current is the record that a value on disk stands for, unless it expired or is unreadable. What was seen but is not written
// down yet counts.
func (d *database) current(key rejected.Key, value []byte) (rejected.Record, bool) {
	if value == nil {
		return rejected.Record{}, false
	}
	r, err := decode(key, value)
	if err != nil {
		return rejected.Record{}, false
	}
	if _, seen := d.index.peek(key); seen > 0 {
		r.LastSeen = later(r.LastSeen, seen)
	}
	if d.expired(r) {
		return rejected.Record{}, false
	}
	return r, true
}

func (d *database) expired(r rejected.Record) bool {
	return d.clock.now().Sub(r.LastSeen) >= time.Duration(d.expire.Load())
}

// later is the later of a time and a second in which a record was seen.
func later(t time.Time, seen uint32) time.Time {
	if s := time.Unix(int64(seen), 0); s.After(t) {
		return s
	}
	return t
}

func second(t time.Time) uint32 { return uint32(min(max(t.Unix(), 1), math.MaxUint32)) }
