package file

import (
	"container/heap"
	"slices"
	"sync"
	"time"
	"unique"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
)

// index has what must be known about the entries at any time: which there are, whose they are, and when they are due. It is in memory. Only
// the index knows when a device is due and how often it was tried: after a restart, all devices are due at once.
type index struct {
	mu     sync.Mutex
	bounds bounds.Bounds
	queues map[string]*queue // by app
	seq    uint64            // the latest one given out
	graves graves
	out    map[outbox.Ref]*item // entries displaced by entries that are being written
}

// queue has the entries of an app.
type queue struct {
	devices map[[16]byte]*device
	order   order // of the devices that have entries
	roll    roll  // of all entries
	room    room
	changed chan struct{} // closed when something may be due earlier

	coming map[[16]byte][]*arrival             // the entries of a device that are being written
	hosts  map[unique.Handle[string]][]*device // by the host of their first entry
}

// device has the entries of a device. It is forgotten when it has none.
type device struct {
	key     [16]byte
	items   []*item // the oldest first
	due     time.Time
	holder  string // the ID of the entry that is leased until due; empty if there is no lease
	tries   int
	ordinal int // in the queue's order

	host   unique.Handle[string]
	seat   int // among the host's devices
	housed bool
}

// item is an entry without its push.
type item struct {
	seq       uint64
	id        string
	size      int
	host      unique.Handle[string]
	replace   unique.Handle[string]
	group     unique.Handle[string]
	standing  outbox.Standing
	event     [16]byte
	pushkeyTS int64
	accepted  time.Time
	expires   time.Time
	device    *device
	turn      int // in the order of expiry
	spot      int // among those of its crowd that may be displaced, from 1 on; 0 if it is not among them
	toll      *toll
	// runs is when the lease ends of an attempt that was under way when the entry was accepted; zero if there is no such attempt.
	runs time.Time
	// leaving means that the entry is being settled: it is no longer leased to anybody.
	leaving bool
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

// skip keeps the sequence number of an unreadable entry from being given out.
func (x *index) skip(seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seq = max(x.seq, seq)
}

func newIndex() *index {
	return &index{queues: make(map[string]*queue), graves: newGraves(), out: make(map[outbox.Ref]*item)}
}

func (x *index) queue(app string) *queue {
	q := x.queues[app]
	if q == nil {
		q = &queue{
			devices: make(map[[16]byte]*device), changed: make(chan struct{}), coming: make(map[[16]byte][]*arrival),
			hosts: make(map[unique.Handle[string]][]*device), room: newRoom(),
		}
		x.queues[app] = q
	}
	return q
}

// wake makes those who wait for the queue look again.
func (q *queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// idle reports whether no attempt at an entry can be under way.
func (d *device) idle(it *item, now time.Time) bool {
	if it.leaving || it.id == d.holder && now.Before(d.due) {
		return false
	}
	return !now.Before(it.runs)
}

// load adds an entry that was read from the disk.
func (x *index) load(e *outbox.Entry, seq uint64, size int, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue(e.App)
	x.seq = max(x.seq, seq)
	a := &arrival{e: e, seq: seq, size: size, group: unique.Make(e.Group), standing: min(e.Standing, outbox.Proven)}
	q.room.book(a.standing, a.group, a.size, 1)
	q.insert(a, now)
}

func (q *queue) insert(a *arrival, now time.Time) {
	e := a.e
	it := &item{
		seq: a.seq, id: e.ID, size: a.size, host: unique.Make(e.Host), replace: unique.Make(e.Replace), event: e.Event,
		group: a.group, standing: a.standing, pushkeyTS: e.PushkeyTS, accepted: e.Accepted, expires: e.Expires, toll: a.toll,
	}
	if a.runs {
		it.runs = now.Add(outbox.LeaseTime)
	}
	d := q.devices[e.Device]
	if d == nil {
		d = &device{key: e.Device, due: now, tries: a.tries}
		switch {
		case a.runs:
			d.due, d.holder = it.runs, it.id
		case a.due.After(now):
			d.due = a.due
		}
		q.admit(d)
	}
	q.enlist(d, it)
}

// admit adds a device that is about to have entries.
func (q *queue) admit(d *device) {
	q.devices[d.key] = d
	heap.Push(&q.order, d)
}

// enlist adds an entry to a device.
func (q *queue) enlist(d *device, it *item) {
	it.device = d
	at := len(d.items) // nearly always the end
	for at > 0 && d.items[at-1].seq > it.seq {
		at--
	}
	d.items = slices.Insert(d.items, at, it)
	q.house(d)
	q.roll.add(it)
	q.room.offer(it)
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
	q.room.leave(d.items[i])
	d.items = slices.Delete(d.items, i, i+1)
	switch {
	case len(d.items) == 0:
		heap.Remove(&q.order, d.ordinal)
		delete(q.devices, key)
		q.unhouse(d)
		return
	case d.holder == "":
		q.reschedule(d, d.due, d.tries)
	}
	q.house(d)
}

// find returns the entry's position in the device's queue, or -1.
func (d *device) find(id string) int {
	return slices.IndexFunc(d.items, func(it *item) bool { return it.id == id })
}

func (x *index) waiting(app string, key [16]byte) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queues[app]
	return q != nil && q.devices[key] != nil
}
