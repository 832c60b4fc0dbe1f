package fleetsim

import (
	"slices"
	"time"
)

// maxDisplaced is how many entries make way for another one at most.
const maxDisplaced = 64

func (s *state) room(app appID) *room {
	r := s.rooms[app]
	if r == nil {
		r = &room{devices: make(map[device]*queue)}
		s.rooms[app] = r
	}
	return r
}

func (q *queue) find(id pushID) int {
	return slices.IndexFunc(q.entries, func(e entry) bool { return e.id == id })
}

// reschedule ends a device's lease, unless an attempt is under way at the entry that is now its first.
func (r *room) reschedule(q *queue, due time.Duration, tries int) {
	q.holder, q.held, q.tries = owner{}, 0, tries
	if first := q.entries[0]; first.runs != 0 {
		q.holder, q.held, due = first.by, first.id, first.runs
	}
	r.schedule(q, due)
}

// remove removes an entry of a device, and the device if it has no more.
func (s *state) remove(r *room, q *queue, i int) {
	e := q.entries[i]
	q.entries = slices.Delete(q.entries, i, i+1)
	r.entries--
	s.pending--
	if e.stranger {
		r.strangers--
	}
	switch {
	case len(q.entries) == 0:
		delete(r.devices, e.device)
		if r.entries == 0 {
			at, _ := slices.BinarySearch(s.apps, e.app)
			s.apps = slices.Delete(s.apps, at, at+1)
			r.newest = nil
		}
	case q.holder == owner{}:
		r.reschedule(q, q.due, q.tries)
	}
}

// fits makes room for an entry: strangers have half of the room, and make way for others.
func (s *state) fits(now time.Duration, r *room, e *entry, b bounds) bool {
	if e.stranger {
		return r.strangers < b.perApp-b.perApp/2 && r.entries < b.perApp
	}
	for out := 0; r.entries >= b.perApp; out++ {
		if out == maxDisplaced || !s.displace(now, r) {
			return false
		}
	}
	return true
}

// displace removes the newest stranger's entry that has no attempt under way, and reports whether there was one.
func (s *state) displace(now time.Duration, r *room) bool {
	for len(r.newest) > 0 {
		last := r.newest[len(r.newest)-1]
		r.newest = r.newest[:len(r.newest)-1]
		q := r.devices[last.device]
		if q == nil {
			continue
		}
		i := q.find(last.id)
		underWay := i >= 0 && (q.held == last.id && now < q.due || now < q.entries[i].runs)
		if i < 0 || underWay {
			continue
		}
		s.remove(r, q, i)
		return true
	}
	return false
}

// turn is when a device is due. It is over if the device is due at another time.
type turn struct {
	due time.Duration
	d   device
}

// schedule sets when a device is due.
func (r *room) schedule(q *queue, due time.Duration) {
	q.due = due
	r.order.push(turn{due, q.entries[0].device})
}

func (t turn) before(o turn) bool { return t.due < o.due || t.due == o.due && t.d < o.d }

// due returns the device that has been due for longest, and nil if there is none. The caller schedules it again.
func (r *room) due(now time.Duration) *queue {
	if !r.isDue(now) {
		return nil
	}
	return r.devices[r.order.pop().d]
}

// isDue reports whether a device is due.
func (r *room) isDue(now time.Duration) bool {
	for len(r.order) > 0 && r.order[0].due <= now {
		if q := r.devices[r.order[0].d]; q != nil && q.due == r.order[0].due {
			return true
		}
		r.order.pop()
	}
	return false
}
