package limit

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
)

// Party describes who wants a slot.
type Party struct {
	// Host is where the push goes, and Group the owner of the host; empty if everything goes to one place.
	Host, Group string
	// Stranger means that nothing was ever delivered to the group. Strangers share a small part of the slots and of the places in line.
	Stranger bool
	// First means that the party goes before others of the same host, and that the host has more slots for it.
	First bool
}

const (
	// hostSlots is how many slots a host may have at the same time. firstSlots is how many more it has for those that go first, because
	// the others may be slow on purpose.
	hostSlots, firstSlots = 64, 16
	// All strangers together may have one in strangeSlots of the slots, and one in strangePlaces of the places in line.
	strangeSlots, strangePlaces = 8, 4
	// A group may have one in groupSlots of the slots.
	groupSlots = 2
)

// HostSlots is how many slots a host may have at the same time, at most.
const HostSlots = hostSlots + firstSlots

// Fair is a limiter that is fair to groups and hosts. The groups take turns, and so do the hosts of a group, so nobody gets more by
// asking more often. When all places in line are taken, the group with the most places gives one up.
type Fair struct {
	base, places int          // as they were set
	allowed      atomic.Int64 // size, without the lock

	mu      sync.Mutex
	size    int // how many may run now
	running int
	known   class
	strange class
}

// class has all known parties, or all strangers.
type class struct {
	slots, places    int // at most
	running, waiting int
	groups           map[string]*group
	line             list.List // the groups with waiters; the first has its turn
}

type group struct {
	name             string
	of               *class
	slots            int // at most
	running, waiting int
	hosts            map[string]*host
	line             list.List     // the hosts with waiters
	place            *list.Element // in the class's line
}

type host struct {
	name    string
	of      *group
	slots   int // at most
	open    int // the part of slots for those that do not go first
	running int
	others  int       // running slots of those that do not go first
	first   list.List // the waiters that go first; rest has the others
	rest    list.List
	place   *list.Element // in the group's line
}

// Slot is the permission to run, until it is released.
type Slot struct {
	fair  *Fair
	of    *host
	first bool
}

// NewFair returns a limiter for a number of running holders, and a number of others waiting in line.
func NewFair(running, waiting int) *Fair {
	f := &Fair{base: running, size: running, places: waiting}
	f.allowed.Store(int64(running))
	f.known = class{slots: running + waiting, places: waiting, groups: make(map[string]*group)}
	f.strange = class{
		slots: max(1, running/strangeSlots), places: max(min(1, waiting), waiting/strangePlaces), groups: make(map[string]*group),
	}
	return f
}

// Size returns how many holders may run at the same time, unless Resize allowed more.
func (f *Fair) Size() int { return f.base }

// Resize lets this many holders run at the same time: at least the number that was set, and at most that plus the number of others in line.
// The bound of both together stays the same. Groups, hosts and strangers get no more slots. It is cheap if nothing changes.
func (f *Fair) Resize(running int) {
	running = min(max(running, f.base), f.base+f.places)
	if f.allowed.Load() == int64(running) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = running
	f.allowed.Store(int64(running))
	f.letIn()
}

// Acquire waits for a slot. It returns ErrBusy if there is no place in line, at once, or later if the place goes to somebody else. It
// returns the context's error if that ends first. After a nil error, release the slot once.
func (f *Fair) Acquire(ctx context.Context, p Party) (Slot, error) {
	f.mu.Lock()
	h := f.host(p)
	if f.free(h, p) {
		defer f.mu.Unlock()
		return f.take(h, p.First), nil
	}
	if !f.makePlace(h.of, p) {
		h.forget()
		f.mu.Unlock()
		return Slot{}, ErrBusy
	}
	h = f.host(p) // the waiter that lost its place may have been the host's last
	w := h.queue(p)
	f.mu.Unlock()
	select {
	case err := <-w.turn:
		if err != nil {
			return Slot{}, err
		}
		return Slot{f, h, p.First}, nil
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.place == nil { // its turn came at the same time
		if err := <-w.turn; err != nil {
			return Slot{}, err
		}
		f.release(h, p.First)
		return Slot{}, ctx.Err()
	}
	w.leave()
	h.forget()
	return Slot{}, ctx.Err()
}

// Release returns the slot.
func (s Slot) Release() {
	if s.fair == nil { // none was taken
		return
	}
	s.fair.mu.Lock()
	defer s.fair.mu.Unlock()
	s.fair.release(s.of, s.first)
}

// host returns a party's host. It is remembered as long as it has slots or waiters.
func (f *Fair) host(p Party) *host {
	c := &f.known
	if p.Stranger {
		c = &f.strange
	}
	g := c.groups[p.Group]
	if g == nil {
		g = &group{name: p.Group, of: c, slots: c.slots, hosts: make(map[string]*host)}
		if p.Group != "" && !p.Stranger {
			g.slots = max(1, f.base/groupSlots)
		}
		c.groups[p.Group] = g
	}
	h := g.hosts[p.Host]
	if h == nil {
		h = &host{name: p.Host, of: g, slots: g.slots, open: g.slots}
		if p.Host != "" {
			h.slots, h.open = min(g.slots, HostSlots), min(g.slots, hostSlots)
		}
		g.hosts[p.Host] = h
	}
	return h
}

// mayRun reports whether the limits allow another slot for the host.
func (f *Fair) mayRun(h *host, first bool) bool {
	g := h.of
	return f.running < f.size && g.of.running < g.of.slots && g.running < g.slots && h.mayRun(first)
}

func (h *host) mayRun(first bool) bool {
	return h.running < h.slots && (first || h.others < h.open)
}

// free reports whether a party may have a slot at once: nobody of its host is before it, all other waiters cannot run now, and together
// they are not too many after a Resize.
func (f *Fair) free(h *host, p Party) bool {
	return h.first.Len() == 0 && (p.First || h.rest.Len() == 0) && f.mayRun(h, p.First) && (f.running < f.base || !f.isFull())
}

// isFull reports whether as many parties run and wait as may do so together.
func (f *Fair) isFull() bool {
	return f.running+f.known.waiting+f.strange.waiting >= f.base+f.places
}

func (f *Fair) take(h *host, first bool) Slot {
	if !first {
		h.others++
	}
	f.running++
	h.of.of.running++
	h.of.running++
	h.running++
	return Slot{f, h, first}
}

// release returns a slot, and lets the next waiters in.
func (f *Fair) release(h *host, first bool) {
	if !first {
		h.others--
	}
	f.running--
	h.of.of.running--
	h.of.running--
	h.running--
	f.letIn()
	h.forget()
}

// letIn lets in all waiters that may run.
func (f *Fair) letIn() {
	for f.known.letIn(f) || f.strange.letIn(f) {
	}
}

// letIn lets one waiter of the class in, if any may run, and reports whether it did. It skips only hosts and groups whose slots are all
// taken.
func (c *class) letIn(f *Fair) bool {
	if f.running >= f.size || c.running >= c.slots {
		return false
	}
	for place := c.line.Front(); place != nil; place = place.Next() {
		g := place.Value.(*group)
		if g.running >= g.slots {
			continue
		}
		for at := g.line.Front(); at != nil; at = at.Next() {
			h := at.Value.(*host)
			w, first := h.next()
			if !h.mayRun(first) {
				continue
			}
			g.line.MoveToBack(at)
			c.line.MoveToBack(place)
			w.leave()
			f.take(h, first)
			w.turn <- nil
			return true
		}
	}
	return false
}
