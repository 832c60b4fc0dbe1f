package file

import (
	"container/heap"
	"context"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// leave begins to settle an entry: it is no longer leased to anybody, and a late Accept of it has no effect. It returns the sequence number
// to remove from the disk.
func (x *index) leave(r outbox.Ref, now time.Time) (seq uint64, found bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.graves.bury(r, now)
	if it := x.out[r]; it != nil {
		it.leaving = true
	}
	q := x.queue(r.App)
	if d := q.devices[r.Device]; d != nil {
		if i := d.find(r.ID); i >= 0 {
			d.items[i].leaving = true
			return d.items[i].seq, true
		}
	}
	if a := q.arriving(r); a != nil {
		a.gone = true
		return a.seq, true
	}
	return 0, false
}

// settle forgets an entry that was removed, and ends its lease. If the device has other entries, it is due.
func (x *index) settle(r outbox.Ref, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue(r.App)
	d := q.devices[r.Device]
	if d == nil {
		return
	}
	i := d.find(r.ID)
	if i >= 0 {
		q.remove(r.Device, d.items[i].seq)
	}
	if len(d.items) > 0 && (d.holder == r.ID || d.holder == "" && i == 0) {
		q.reschedule(d, now, 0)
	}
}

// release ends the lease of an entry, and makes its device due later.
func (x *index) release(r outbox.Ref, due time.Time, tried bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue(r.App)
	more := 0
	if tried {
		more = 1
	}
	if a := q.arriving(r); a != nil {
		a.runs, a.due = false, due
		a.tries += more
		return
	}
	d := q.devices[r.Device]
	if d == nil {
		return
	}
	if i := d.find(r.ID); i >= 0 {
		if d.items[i].leaving {
			return
		}
		d.items[i].runs = time.Time{}
		q.room.offer(d.items[i])
	}
	if d.holder == r.ID {
		q.reschedule(d, due, d.tries+more)
	}
}

// reschedule ends a device's lease, unless an attempt is under way at the entry that is now its first.
func (q *queue) reschedule(d *device, due time.Time, tries int) {
	d.holder, d.due, d.tries = "", due, tries
	if first := d.items[0]; !first.runs.IsZero() {
		d.holder, d.due = first.id, first.runs
	}
	heap.Fix(&q.order, d.ordinal)
	q.wake()
}

// rouse makes devices due that are not leased.
func (x *index) rouse(app string, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue(app)
	for _, d := range q.devices {
		if d.holder == "" && d.due.After(now) {
			d.due = now
		}
	}
	heap.Init(&q.order)
	q.wake()
}

// grant is a device that was leased: its first entry.
type grant struct {
	place
	tries int
}

// lease waits until devices are due, and leases them.
func (x *index) lease(ctx context.Context, app string, n int, now func() time.Time) ([]grant, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		granted, next, changed := x.take(app, n, now())
		if len(granted) > 0 {
			return granted, nil
		}
		var timer <-chan time.Time
		if !next.IsZero() {
			timer = time.After(next.Sub(now()))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer:
		}
	}
}

// take leases the devices that are due. If none is, it returns when the next one will be, and a channel that is closed on a change.
func (x *index) take(app string, n int, now time.Time) (granted []grant, next time.Time, changed <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue(app)
	for len(granted) < n && len(q.order) > 0 && !q.order[0].due.After(now) {
		d := q.order[0]
		d.holder, d.due = d.items[0].id, now.Add(outbox.LeaseTime)
		heap.Fix(&q.order, 0)
		if !d.items[0].leaving { // otherwise nobody holds the lease, until the entry has left
			granted = append(granted, grant{place{app, d.key, d.items[0]}, d.tries})
		}
	}
	if len(granted) == 0 && len(q.order) > 0 {
		next = q.order[0].due
	}
	return granted, next, q.changed
}

// order is a heap of devices: the one due first is at the top.
type order []*device

func (o order) Len() int           { return len(o) }
func (o order) Less(i, j int) bool { return o[i].due.Before(o[j].due) }

func (o order) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].ordinal, o[j].ordinal = i, j
}

// Push implements heap.Interface.
func (o *order) Push(x any) {
	d := x.(*device)
	d.ordinal = len(*o)
	*o = append(*o, d)
}

// Pop implements heap.Interface.
func (o *order) Pop() any {
	last := len(*o) - 1
	d := (*o)[last]
	(*o)[last] = nil
	*o = (*o)[:last]
	return d
}
