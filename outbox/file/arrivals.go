package file

import (
	"slices"
	"time"
	"unique"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// arrival is an entry that is being written. The index owns its fields, except those that never change.
type arrival struct {
	e        *outbox.Entry
	seq      uint64
	size     int
	group    unique.Handle[string]
	standing outbox.Standing
	replaced []*item
	write    *write
	// displaced are the entries that it displaces, and toll has their names once they are displaced.
	displaced []place
	toll      *toll
	strays    []uint64 // of the displaced, those that may still be on disk and must be removed

	runs  bool      // an attempt is under way
	due   time.Time // when to try it first
	tries int
	put   bool // it is in the transaction
	gone  bool // it was settled or discarded meanwhile
}

// toll has the names of the entries that one entry displaced, until a caller has reported them.
type toll struct{ refs []outbox.Ref }

// admission is the outcome of accepting an entry.
type admission uint8

const (
	fresh  admission = iota // the caller writes it
	joined                  // another caller is writing it
	known                   // it is in the box
	late                    // it was settled or discarded
)

// reserve makes room for an entry, unless the entry or its event is or was in the box.
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
	var replaced []*item
	count := len(q.coming[e.Device])
	if d := q.devices[e.Device]; d != nil {
		count += len(d.items)
		if e.Replace != "" {
			replaced = d.replaceable(unique.Make(e.Replace), now)
		}
	}
	if count-len(replaced) >= x.bounds.PerDevice {
		return nil, fresh, outbox.ErrDeviceFull
	}
	a = &arrival{
		e: e, size: len(e.Push), group: unique.Make(e.Group), standing: min(e.Standing, outbox.Proven), replaced: replaced, write: newWrite(),
		runs: e.Running, due: e.Due,
	}
	if !x.makeRoom(q, a, now) {
		return nil, fresh, outbox.ErrFull
	}
	x.seq++
	a.seq = x.seq
	if e.Due.After(now) {
		a.tries = 1
	}
	q.coming[e.Device] = append(q.coming[e.Device], a)
	q.room.book(a.standing, a.group, a.size, 1)
	return a, fresh, nil
}

// makeRoom takes out the entries that the new one displaces, and reports whether there is room then. It counts replaced entries as gone.
func (x *index) makeRoom(q *queue, a *arrival, now time.Time) bool {
	for _, it := range a.replaced {
		q.room.leave(it)
	}
	n := &newcomer{room: &q.room, standing: a.standing, group: a.group, size: int64(a.size), now: now}
	ok := n.squeeze(x.bounds)
	out := n.out
	n.back() // they are removed below, like all others
	for _, it := range a.replaced {
		q.room.enter(it)
	}
	for _, it := range out {
		p := place{a.e.App, it.device.key, it}
		a.displaced = append(a.displaced, p)
		x.out[p.ref()] = it
		x.graves.bury(p.ref(), now)
		q.withdraw(p)
	}
	return ok
}

// took returns the names of the entries that one entry displaced, if nobody has reported them yet.
func (x *index) took(a *arrival) (refs []outbox.Ref) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if a.toll != nil {
		refs, a.toll.refs = a.toll.refs, nil
	}
	return refs
}

// outgoing returns the sequence numbers of the entries that are removed when this one is written.
func (a *arrival) outgoing() (seqs []uint64) {
	for _, it := range a.replaced {
		seqs = append(seqs, it.seq)
	}
	for _, p := range a.displaced {
		seqs = append(seqs, p.item.seq)
	}
	return seqs
}

// again finds the same entry, or another one of the same event, if it was accepted before. Accepting an entry again without an attempt
// under way ends its lease.
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
				return &arrival{toll: it.toll}, known
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

// acceptedAgain ends the attempt at an entry. The caller got no answer when the entry was first accepted.
func (q *queue) acceptedAgain(d *device, it *item, due time.Time) {
	it.runs = time.Time{}
	q.room.offer(it)
	switch {
	case d.holder == it.id:
		q.reschedule(d, due, d.tries+1)
	case d.holder == "" && d.items[0] == it:
		q.reschedule(d, due, d.tries)
	}
}

// replaceable returns the entries that a newer one replaces. It leaves out those that may have an attempt under way.
func (d *device) replaceable(replace unique.Handle[string], now time.Time) (items []*item) {
	for _, it := range d.items {
		if it.replace == replace && d.idle(it, now) {
			items = append(items, it)
		}
	}
	return items
}

// put reports whether an entry must still be written. If not, it was settled or discarded before its turn.
func (x *index) put(a *arrival) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	a.put = !a.gone
	return a.put
}

// arrived adds an entry that was written. If the write failed or the entry is no longer wanted, it frees the entry's room. It reports
// whether an attempt at the entry is under way.
func (x *index) arrived(a *arrival, err error, now time.Time) (runs bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue(a.e.App)
	q.came(a)
	x.concede(q, a, err)
	if err != nil || a.gone {
		q.room.book(a.standing, a.group, a.size, -1)
	} else {
		q.insert(a, now) // first: the device keeps its due time and its holder
	}
	if err == nil && a.put {
		for _, it := range a.replaced {
			q.remove(a.e.Device, it.seq)
		}
	}
	return err == nil && !a.gone && a.runs
}

// concede makes the displaced entries gone for good, or restores them unless they were settled or discarded meanwhile. An entry that may or
// may not be on disk counts as gone.
func (x *index) concede(q *queue, a *arrival, err error) {
	if len(a.displaced) == 0 {
		return
	}
	a.toll = new(toll)
	for _, p := range a.displaced {
		delete(x.out, p.ref())
		gone := a.put && (err == nil || unsure(err))
		switch {
		case gone:
			a.toll.refs = append(a.toll.refs, p.ref())
		case !p.item.leaving:
			x.graves.unbury(p.ref())
			q.restore(p)
		}
		if gone && err != nil || !gone && p.item.leaving {
			a.strays = append(a.strays, p.item.seq)
		}
	}
}

// came forgets an entry that is no longer being written.
func (q *queue) came(a *arrival) {
	key := a.e.Device
	left := slices.DeleteFunc(q.coming[key], func(o *arrival) bool { return o == a })
	if len(left) == 0 {
		delete(q.coming, key)
	} else {
		q.coming[key] = left
	}
}

// arriving returns an entry that is being written, or nil.
func (q *queue) arriving(r outbox.Ref) *arrival {
	for _, a := range q.coming[r.Device] {
		if a.e.ID == r.ID {
			return a
		}
	}
	return nil
}
