package fleetsim

import (
	"maps"
	"slices"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// The names of things. Apps and devices are numbers below the fleet's.
type (
	eventID int64
	pushID  int64
	appID   int
	device  int
)

// owner is one life of a gateway's process. Zero is nobody.
type owner struct{ gateway, life int }

// entry is a push in the outbox.
type entry struct {
	id       pushID
	event    eventID
	app      appID
	device   device
	stranger bool
	// runs is when its attempt cannot run any more; 0 if none is under way. by makes the attempt.
	runs time.Duration
	by   owner
}

// queue is a device's entries, oldest first.
type queue struct {
	entries []entry
	due     time.Duration
	tries   int
	// holder has the lease for the entry held. It is nobody if the device is not leased.
	holder owner
	held   pushID
}

// room is what a shard has of an app.
type room struct {
	devices            map[device]*queue
	order              heap[turn] // by due; it may have turns that are over
	entries, strangers int
	// newest has the strangers' entries in the order in which they came. It may have some that are gone.
	newest []entry
}

// note is what a shard knows of an event: that it is done, or who delivers it until when.
type note struct {
	done  bool
	by    owner
	until time.Duration
}

// state is a shard's data. Its methods are the scripts of outbox/redis/lua.
type state struct {
	rooms map[appID]*room
	apps  []appID // those with entries, sorted
	notes map[eventID]note
	gone  map[pushID]time.Duration
	// pending counts the entries.
	pending int
	flaw    Flaw
}

func newState(flaw Flaw) *state {
	return &state{rooms: make(map[appID]*room), notes: make(map[eventID]note), gone: make(map[pushID]time.Duration), flaw: flaw}
}

// clone returns a copy that shares nothing.
func (s *state) clone() *state {
	c := *s
	c.rooms, c.apps, c.notes, c.gone = make(map[appID]*room, len(s.rooms)), slices.Clone(s.apps), maps.Clone(s.notes), maps.Clone(s.gone)
	for app, r := range s.rooms {
		copied := *r
		copied.devices = make(map[device]*queue, len(r.devices))
		for name, q := range r.devices {
			one := *q
			one.entries = slices.Clone(q.entries)
			copied.devices[name] = &one
		}
		copied.order, copied.newest = slices.Clone(r.order), slices.Clone(r.newest)
		c.rooms[app] = &copied
	}
	return &c
}

// answer is the answer to accept.
type answer uint8

const (
	full answer = iota
	accepted
	taken
)

// bounds are what a shard may have of an app, and of a device.
type bounds struct{ perApp, perDevice int }

// accept adds an entry. running means that the owner has an attempt under way; else it is due after the delay.
func (s *state) accept(now time.Duration, e entry, by owner, running bool, delay time.Duration, b bounds) answer {
	if until, ok := s.gone[e.id]; ok && now < until {
		return accepted // it was settled before it came
	}
	r := s.room(e.app)
	q := r.devices[e.device]
	if q != nil {
		if i := q.find(e.id); i >= 0 {
			if !running {
				s.again(now, r, q, i, by, delay)
			}
			return accepted
		}
	}
	if known, ok := s.known(now, e.event); ok && s.flaw != NoDedupe {
		if known.done {
			return accepted
		}
		if known.by != by {
			return taken
		}
	}
	if q != nil && len(q.entries) >= b.perDevice || !s.fits(now, r, &e, b) {
		return full
	}
	s.add(now, r, &e, by, running, delay)
	s.notes[e.event] = note{done: true}
	return accepted
}

// again ends the attempt at an entry that is accepted again.
func (s *state) again(now time.Duration, r *room, q *queue, i int, by owner, delay time.Duration) {
	unleased := q.holder == owner{}
	s.end(r, q, i, by, now+delay, true)
	if unleased && i == 0 {
		r.schedule(q, now+delay)
	}
}

func (s *state) add(now time.Duration, r *room, e *entry, by owner, running bool, delay time.Duration) {
	q := r.devices[e.device]
	if running {
		e.runs, e.by = now+outbox.LeaseTime, by
	}
	if q == nil {
		q = &queue{due: now, entries: []entry{*e}}
		switch {
		case running:
			q.due, q.holder, q.held = e.runs, by, e.id
		case delay > 0:
			q.due, q.tries = now+delay, 1
		}
		r.devices[e.device] = q
		r.schedule(q, q.due)
	} else {
		q.entries = append(q.entries, *e)
	}
	if r.entries == 0 {
		at, _ := slices.BinarySearch(s.apps, e.app)
		s.apps = slices.Insert(s.apps, at, e.app)
	}
	r.entries++
	s.pending++
	if e.stranger {
		r.strangers++
		r.newest = append(r.newest, *e)
	}
}

// settle removes an entry.
func (s *state) settle(now time.Duration, e *entry, by owner) {
	s.gone[e.id] = now + outbox.LeaseTime
	r := s.room(e.app)
	q := r.devices[e.device]
	if q == nil {
		return
	}
	i := q.find(e.id)
	if i >= 0 {
		s.remove(r, q, i)
	}
	nobody := q.holder == owner{}
	if len(q.entries) > 0 && (q.holder == by && q.held == e.id || nobody && i == 0) {
		r.reschedule(q, now, 0)
	}
}

// release ends a lease. The device is due at a time.
func (s *state) release(e *entry, by owner, due time.Duration, tried bool) {
	r := s.room(e.app)
	if q := r.devices[e.device]; q != nil {
		s.end(r, q, q.find(e.id), by, due, tried)
	}
}

func (s *state) end(r *room, q *queue, i int, by owner, due time.Duration, tried bool) {
	if i < 0 {
		return
	}
	id := q.entries[i].id
	q.entries[i].runs, q.entries[i].by = 0, owner{}
	if q.holder == by && q.held == id {
		tries := q.tries
		if tried {
			tries++
		}
		r.reschedule(q, due, tries)
	}
}

// leased is an entry that its holder may try.
type leased struct {
	entry
	tries int
}

// lease leases at most n devices of an app that are due.
func (s *state) lease(now time.Duration, app appID, by owner, n int) (all []leased) {
	r := s.room(app)
	for len(all) < n {
		q := r.due(now)
		if q == nil {
			break
		}
		first := q.entries[0]
		if s.flaw == NewestFirst {
			first = q.entries[len(q.entries)-1]
		}
		q.holder, q.held = by, first.id
		if s.flaw == LeaseTwice {
			r.schedule(q, now+time.Second)
		} else {
			r.schedule(q, now+outbox.LeaseTime)
		}
		all = append(all, leased{first, q.tries})
	}
	return all
}

// rouse makes an app's devices due, except leased ones.
func (s *state) rouse(now time.Duration, app appID) {
	r := s.room(app)
	for _, q := range r.devices {
		if (q.holder == owner{}) && q.due > now {
			r.schedule(q, now)
		}
	}
}

// waiting reports whether a device has entries.
func (s *state) waiting(app appID, d device) bool { return s.room(app).devices[d] != nil }

// discard removes a device's entries.
func (s *state) discard(app appID, d device) {
	r := s.room(app)
	for q := r.devices[d]; q != nil && len(q.entries) > 0; {
		s.remove(r, q, len(q.entries)-1)
	}
}

// claim claims an event for an owner until a lease's time is over.
func (s *state) claim(now time.Duration, e eventID, by owner) outbox.Claim {
	switch known, ok := s.known(now, e); {
	case s.flaw == NoDedupe:
	case ok && known.done:
		return outbox.Done
	case ok && known.by != by:
		return outbox.Taken
	}
	s.notes[e] = note{by: by, until: now + outbox.LeaseTime}
	return outbox.Claimed
}

func (s *state) unclaim(e eventID, by owner) {
	if known := s.notes[e]; !known.done && known.by == by {
		delete(s.notes, e)
	}
}

func (s *state) noteDone(e eventID) { s.notes[e] = note{done: true} }

func (s *state) known(now time.Duration, e eventID) (note, bool) {
	n, ok := s.notes[e]
	return n, ok && (n.done || now < n.until)
}
