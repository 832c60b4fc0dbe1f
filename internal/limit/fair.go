package limit

import (
	"container/list"
	"context"
	"sync"
)

// Party is whom a slot is for.
type Party struct {
	// Host and Group are where it goes, and to whom that belongs; empty where everything goes to one place.
	Host, Group string
	// Stranger means that nothing was ever delivered to the group: strangers share a small part of the slots and places.
	Stranger bool
	// First means that others of the same host let it go first, and that the host has more slots for it.
	First bool
}

const (
	// hostSlots is how many slots a host may have at a time, and firstSlots how many more for those that go first: the others may be slow on
	// purpose.
	hostSlots, firstSlots = 64, 16
	// Strangers may have one in strangeSlots of the slots, and one in strangePlaces of the places in line, all together.
	strangeSlots, strangePlaces = 8, 4
	// A group may have one in groupSlots of the slots.
	groupSlots = 2
)

// HostSlots is how many slots a host may have at a time, at most.
const HostSlots = hostSlots + firstSlots

// Fair is a [Limiter] whose holders differ by whom they are for. The groups have their turns one after the other, as have the hosts of a
// group, so that nobody gets more by asking more often. When all places in line are taken, the group with most of them gives one up.
type Fair struct {
	size, places int

	mu      sync.Mutex
	running int
	known   class
	strange class
}

// class are the parties that are known, or those that are not.
type class struct {
	slots, places    int // at most
	running, waiting int
	groups           map[string]*group
	line             list.List // the groups that have somebody waiting; the first has its turn
}

type group struct {
	name             string
	of               *class
	slots            int // at most
	running, waiting int
	hosts            map[string]*host
	line             list.List     // the hosts that have somebody waiting
	place            *list.Element // in the class's line
}

type host struct {
	name    string
	of      *group
	slots   int // at most
	open    int // of them for those that do not go first
	running int
	others  int       // running that do not go first
	first   list.List // the waiters that go first, and the rest
	rest    list.List
	place   *list.Element // in the group's line
}

// waiter is somebody in line.
type waiter struct {
	at    *host
	line  *list.List
	place *list.Element // nil once out of the line
	turn  chan error    // nil for a slot
}

// Slot is what a holder has.
type Slot struct {
	fair  *Fair
	of    *host
	first bool
}

// NewFair makes a limiter for running holders at a time and as many as waiting more in line.
func NewFair(running, waiting int) *Fair {
	f := &Fair{size: running, places: waiting}
	f.known = class{slots: running, places: waiting, groups: make(map[string]*group)}
	f.strange = class{
		slots: max(1, running/strangeSlots), places: max(min(1, waiting), waiting/strangePlaces), groups: make(map[string]*group),
	}
	return f
}

// Size is how many are let in at a time.
func (f *Fair) Size() int { return f.size }

// Acquire waits for a slot. It returns ErrBusy if there is no place in line, at once or later, when others need it more, and the context's
// error if that ends first. After a nil error, the slot must be released once.
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
	h = f.host(p) // the one that gave its place up may have been the last of the host
	w := h.queue(p)
	f.mu.Unlock()
	select {
	case err := <-w.turn:
		return Slot{f, h, p.First}, err
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

// Release gives the slot back.
func (s Slot) Release() {
	if s.fair == nil { // none was taken
		return
	}
	s.fair.mu.Lock()
	defer s.fair.mu.Unlock()
	s.fair.release(s.of, s.first)
}

// host is that of a party. It is remembered as long as it holds or wants something.
func (f *Fair) host(p Party) *host {
	c := &f.known
	if p.Stranger {
		c = &f.strange
	}
	g := c.groups[p.Group]
	if g == nil {
		g = &group{name: p.Group, of: c, slots: c.slots, hosts: make(map[string]*host)}
		if p.Group != "" && !p.Stranger {
			g.slots = max(1, c.slots/groupSlots)
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

// mayRun reports whether the bounds let somebody have another slot of the host's.
func (f *Fair) mayRun(h *host, first bool) bool {
	g := h.of
	return f.running < f.size && g.of.running < g.of.slots && g.running < g.slots && h.mayRun(first)
}

func (h *host) mayRun(first bool) bool {
	return h.running < h.slots && (first || h.others < h.open)
}

// free reports whether a party may have a slot at once: nobody of its host is before it. Whoever else waits cannot run now.
func (f *Fair) free(h *host, p Party) bool {
	return h.first.Len() == 0 && (p.First || h.rest.Len() == 0) && f.mayRun(h, p.First)
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

// release gives a slot back, and lets in whose turn it is.
func (f *Fair) release(h *host, first bool) {
	if !first {
		h.others--
	}
	f.running--
	h.of.of.running--
	h.of.running--
	h.running--
	for f.known.letIn(f) || f.strange.letIn(f) {
	}
	h.forget()
}

// letIn lets somebody in of the class, if one may, and reports whether it did. It passes over no more hosts than have all of their slots.
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

// makePlace finds a place in line for a party: a free one, a stranger's for one who is known, or one of the group that has most of them.
func (f *Fair) makePlace(g *group, p Party) bool {
	c := g.of
	full := f.known.waiting+f.strange.waiting >= f.places
	switch {
	case f.places == 0:
		return false
	case !full && c.waiting < c.places:
		return true
	case full && c == &f.known && f.strange.waiting > 0:
		return f.strange.most().sendAway(true)
	}
	most := c.most()
	if most == nil || most.waiting <= g.waiting+1 {
		// The group has as many as any other, so one of its own has to give way, or nobody.
		return p.First && g.waiting > 0 && g.sendAway(false)
	}
	return most.sendAway(p.First)
}

// most is the group with most places in line; nil if none has any.
func (c *class) most() (most *group) {
	for place := c.line.Front(); place != nil; place = place.Next() {
		if g := place.Value.(*group); most == nil || g.waiting > most.waiting {
			most = g
		}
	}
	return most
}

// sendAway sends the last in line away of the group's host with most of them, one that goes first only if anyone may be.
func (g *group) sendAway(anyone bool) bool {
	var from *host
	for at := g.line.Front(); at != nil; at = at.Next() {
		if h := at.Value.(*host); h.rest.Len() > 0 && (from == nil || h.rest.Len() > from.rest.Len()) {
			from = h
		}
	}
	var last *list.Element
	switch {
	case from != nil:
		last = from.rest.Back()
	case !anyone:
		return false
	default:
		last = g.line.Front().Value.(*host).first.Back()
	}
	w := last.Value.(*waiter)
	w.leave()
	w.at.forget()
	w.turn <- ErrBusy
	return true
}

// queue puts a party in line.
func (h *host) queue(p Party) *waiter {
	line := &h.rest
	if p.First {
		line = &h.first
	}
	w := &waiter{at: h, line: line, turn: make(chan error, 1)}
	w.place = line.PushBack(w)
	g := h.of
	g.waiting++
	g.of.waiting++
	if h.place == nil {
		h.place = g.line.PushBack(h)
	}
	if g.place == nil {
		g.place = g.of.line.PushBack(g)
	}
	return w
}

// next is whose turn it is at the host.
func (h *host) next() (w *waiter, first bool) {
	if front := h.first.Front(); front != nil {
		return front.Value.(*waiter), true
	}
	return h.rest.Front().Value.(*waiter), false
}

// leave takes a waiter out of the line.
func (w *waiter) leave() {
	h, g := w.at, w.at.of
	w.line.Remove(w.place)
	w.place = nil
	g.waiting--
	g.of.waiting--
	if h.first.Len()+h.rest.Len() == 0 {
		g.line.Remove(h.place)
		h.place = nil
	}
	if g.waiting == 0 {
		g.of.line.Remove(g.place)
		g.place = nil
	}
}

// forget forgets a host, and its group, that hold and want nothing.
func (h *host) forget() {
	g := h.of
	if h.running == 0 && h.place == nil && h.name != "" {
		delete(g.hosts, h.name)
	}
	if len(g.hosts) == 0 && g.name != "" { // where everything goes to one place, that is always wanted
		delete(g.of.groups, g.name)
	}
}
