package file

import (
	"slices"
	"time"
	"unique"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// arrival is an entry that is being written. Its fields are the index's, but for those that do not change.
type arrival struct {
	e        *outbox.Entry
	seq      uint64
	size     int
	replaced []*item
	write    *write

	runs  bool      // an attempt is under way
	due   time.Time // when to try it first
	tries int
	put   bool // it is in the transaction
	gone  bool // it was settled or discarded meanwhile
}

// admission is what becomes of an entry that is accepted.
type admission uint8

const (
	fresh  admission = iota // the caller writes it
	joined                  // it is being written, as another caller's
	known                   // it is in the box
	late                    // it was settled or discarded
)

// reserve makes room for an entry, unless it or its event is in the box, or was.
func (x *index) reserve(e *outbox.Entry, now time.Time) (a *arrival, as admission, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.graves.holds(e) {
		return nil, late, nil
	}
	q := x.queue(e.App)
	if a, as = q.again(e, now); as != fresh {
		return a, as, nil
	}
	size := len(e.Push)
	var replaced []*item
	count, left := len(q.coming[e.Device]), q.size
	if d := q.devices[e.Device]; d != nil {
		count += len(d.items)
		if e.Replace != "" {
			replaced = d.replaceable(unique.Make(e.Replace), now)
		}
	}
	for _, it := range replaced {
		left -= int64(it.size)
	}
	b := x.bounds
	if q.entries-len(replaced) >= b.PerApp || left+int64(size) > b.Size || count-len(replaced) >= b.PerDevice {
		return nil, fresh, outbox.ErrFull
	}
	x.seq++
	a = &arrival{e: e, seq: x.seq, size: size, replaced: replaced, write: newWrite(), runs: e.Running, due: e.Due}
	if e.Due.After(now) {
		a.tries = 1
	}
	q.coming[e.Device] = append(q.coming[e.Device], a)
	q.entries++
	q.size += int64(size)
	return a, fresh, nil
}

// again finds an entry that was accepted before, or another one of the same event. Accepting an entry again without an attempt under way
// ends the lease that it has.
func (q *queue) again(e *outbox.Entry, now time.Time) (*arrival, admission) {
	event := e.Event != ([16]byte{})
	if d := q.devices[e.Device]; d != nil {
		for _, it := range d.items {
			switch {
			case it.id == e.ID && it.leaving:
				return nil, late
			case it.id == e.ID:
				if !e.Running {
					q.acceptedAgain(d, it, e.Due)
				}
				return nil, known
			case event && it.event == e.Event:
				return nil, known
			}
		}
	}
	for _, a := range q.coming[e.Device] {
		same := a.e.ID == e.ID
		switch {
		case !same && (!event || a.e.Event != e.Event):
		case a.gone:
			return nil, late
		default:
			if same && !e.Running {
				a.runs, a.due = false, e.Due
				if e.Due.After(now) {
					a.tries = max(a.tries, 1)
				}
			}
			return a, joined
		}
	}
	return nil, fresh
}

// acceptedAgain ends the attempt at an entry, as the caller does who had no answer when it was accepted first.
func (q *queue) acceptedAgain(d *device, it *item, due time.Time) {
	it.runs = time.Time{}
	switch {
	case d.holder == it.id:
		q.reschedule(d, due, d.tries+1)
	case d.holder == "" && d.items[0] == it:
		q.reschedule(d, due, d.tries)
	}
}

// replaceable are the entries that a newer one takes the place of: not one that may be under way.
func (d *device) replaceable(replace unique.Handle[string], now time.Time) (items []*item) {
	for _, it := range d.items {
		if it.replace == replace && d.idle(it, now) {
			items = append(items, it)
		}
	}
	return items
}

// put reports whether an entry is still to be written. If not, it was settled or discarded before its turn came.
func (x *index) put(a *arrival) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	a.put = !a.gone
	return a.put
}

// arrived takes an entry in that was written, or gives its room back if it was not or is not wanted any more. It reports whether an attempt
// at it is under way.
func (x *index) arrived(a *arrival, err error, now time.Time) (runs bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue(a.e.App)
	q.came(a)
	if err != nil || a.gone {
		q.entries--
		q.size -= int64(a.size)
	} else {
		q.insert(a, now) // first: the device keeps when it is due, and who has it
	}
	if err == nil && a.put {
		for _, it := range a.replaced {
			q.remove(a.e.Device, it.seq)
		}
	}
	return err == nil && !a.gone && a.runs
}

// came forgets an entry that is not being written any more.
func (q *queue) came(a *arrival) {
	key := a.e.Device
	left := slices.DeleteFunc(q.coming[key], func(o *arrival) bool { return o == a })
	if len(left) == 0 {
		delete(q.coming, key)
	} else {
		q.coming[key] = left
	}
}

// arriving is an entry that is being written.
func (q *queue) arriving(r outbox.Ref) *arrival {
	for _, a := range q.coming[r.Device] {
		if a.e.ID == r.ID {
			return a
		}
	}
	return nil
}
