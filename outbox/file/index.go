package file

import (
	"container/heap"
	"slices"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
)

// index is what has to be known of the entries at any time, in memory: which there are, of whom, and when they are due. When a device
// is due and how often it was tried is known here alone; after a restart, all are due at once.
type index struct {
	mu     sync.Mutex
	bounds bounds.Bounds
	queues map[string]*queue // by app
	seq    uint64            // the last one given out
}

// queue are the entries of an app.
type queue struct {
	devices map[[16]byte]*device
	order   order // of the devices that have entries
	roll    roll  // of all entries
	entries int   // with those that are being written
	size    int64
	changed chan struct{} // closed when something may be due earlier

	coming map[[16]byte]int // how many entries of a device are being written
}

// device are the entries of a device. It is forgotten when it has none.
type device struct {
	key     [16]byte
	items   []*item // the oldest first
	due     time.Time
	holder  string // the ID of the entry that is leased until due; empty if none is
	tries   int
	ordinal int // in the queue's order
}

// item is an entry without its push.
type item struct {
	seq       uint64
	id        string
	size      int
	badge     bool
	pushkeyTS int64
	accepted  time.Time
	expires   time.Time
	device    *device
	turn      int // in the order of expiry
	// runs is until when an attempt is under way that was when the entry was accepted; zero if none is.
	runs time.Time
}

func (x *index) setBounds(b bounds.Bounds) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.bounds = b
}

// clear forgets all entries.
func (x *index) clear() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.queues)
}

// skip keeps the sequence number of an entry that could not be read from being given out.
func (x *index) skip(seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seq = max(x.seq, seq)
}

func newIndex() *index { return &index{queues: make(map[string]*queue)} }

func (x *index) queue(app string) *queue {
	q := x.queues[app]
	if q == nil {
		q = &queue{devices: make(map[[16]byte]*device), changed: make(chan struct{}), coming: make(map[[16]byte]int)}
		x.queues[app] = q
	}
	return q
}

// wake tells those who wait for the queue to look again.
func (q *queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// reserve makes room for an entry, and says which it takes the place of.
func (x *index) reserve(e *outbox.Entry, size int, now time.Time) (seq uint64, replaced []*item, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue(e.App)
	count, left := q.coming[e.Device], q.size
	if d := q.devices[e.Device]; d != nil {
		count += len(d.items)
		if e.Badge {
			replaced = d.replaceable(now)
		}
	}
	for _, it := range replaced {
		left -= int64(it.size)
	}
	b := x.bounds
	if q.entries-len(replaced) >= b.PerApp || left+int64(size) > b.Size || count-len(replaced) >= b.PerDevice {
		return 0, nil, outbox.ErrFull
	}
	q.coming[e.Device]++
	q.entries++
	q.size += int64(size)
	x.seq++
	return x.seq, replaced, nil
}

// replaceable are the badge updates that a newer one makes pointless: not one that may be under way.
func (d *device) replaceable(now time.Time) (items []*item) {
	for _, it := range d.items {
		if it.badge && d.idle(it, now) {
			items = append(items, it)
		}
	}
	return items
}

// idle says whether no attempt at an entry can be under way.
func (d *device) idle(it *item, now time.Time) bool {
	if it.id == d.holder && now.Before(d.due) {
		return false
	}
	return !now.Before(it.runs)
}

// cancel gives the room of an entry back that was not written.
func (x *index) cancel(e *outbox.Entry, size int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue(e.App)
	q.came(e.Device)
	q.entries--
	q.size -= int64(size)
}

// came says that an entry is not being written any more.
func (q *queue) came(key [16]byte) {
	if q.coming[key]--; q.coming[key] == 0 {
		delete(q.coming, key)
	}
}

// add takes an entry in that was written, for which there is room.
func (x *index) add(e *outbox.Entry, seq uint64, size int, replaced []*item, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue(e.App)
	q.came(e.Device)
	q.insert(e, seq, size, now) // first: the device keeps when it is due, and who has it
	for _, it := range replaced {
		q.remove(e.Device, it.seq)
	}
}

// load is add without a reservation.
func (x *index) load(e *outbox.Entry, seq uint64, size int, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue(e.App)
	q.entries++
	q.size += int64(size)
	x.seq = max(x.seq, seq)
	q.insert(e, seq, size, now)
}

func (q *queue) insert(e *outbox.Entry, seq uint64, size int, now time.Time) {
	it := &item{
		seq: seq, id: e.ID, size: size, badge: e.Badge, pushkeyTS: e.PushkeyTS, accepted: e.Accepted, expires: e.Expires,
	}
	if e.Running {
		it.runs = now.Add(outbox.LeaseTime)
	}
	d := q.devices[e.Device]
	if d == nil {
		d = &device{key: e.Device, due: now}
		switch {
		case e.Running:
			d.due, d.holder = it.runs, it.id
		case e.Due.After(now):
			d.due, d.tries = e.Due, 1
		}
		q.admit(d)
	}
	q.enlist(d, it)
}

// admit takes a device in that is to have entries.
func (q *queue) admit(d *device) {
	q.devices[d.key] = d
	heap.Push(&q.order, d)
}

// enlist gives a device an entry.
func (q *queue) enlist(d *device, it *item) {
	it.device = d
	at := len(d.items) // nearly always the end
	for at > 0 && d.items[at-1].seq > it.seq {
		at--
	}
	d.items = slices.Insert(d.items, at, it)
	q.roll.add(it)
	q.wake()
}

// remove forgets an entry.
func (q *queue) remove(key [16]byte, seq uint64) {
	d := q.devices[key]
	if d == nil {
		return
	}
	i := slices.IndexFunc(d.items, func(it *item) bool { return it.seq == seq })
	if i < 0 {
		return
	}
	q.roll.remove(d.items[i])
	q.entries--
	q.size -= int64(d.items[i].size)
	d.items = slices.Delete(d.items, i, i+1)
	switch {
	case len(d.items) == 0:
		heap.Remove(&q.order, d.ordinal)
		delete(q.devices, key)
	case d.holder == "":
		q.reschedule(d, d.due, d.tries)
	}
}

// find is an entry, if there still is such a one.
func (x *index) find(r outbox.Ref) (*item, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	d := x.queue(r.App).devices[r.Device]
	if d == nil {
		return nil, false
	}
	if i := slices.IndexFunc(d.items, func(it *item) bool { return it.id == r.ID }); i >= 0 {
		return d.items[i], true
	}
	return nil, false
}

func (x *index) waiting(app string, key [16]byte) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queues[app]
	return q != nil && q.devices[key] != nil
}
