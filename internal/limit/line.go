package limit

import "container/list"

// waiter is a party in line.
type waiter struct {
	at    *host
	line  *list.List
	place *list.Element // nil once out of the line
	turn  chan error    // receives nil for a slot
}

// makePlace finds a place in line for a party: a free one, a stranger's for a known party, or one of the group with the most places.
func (f *Fair) makePlace(g *group, p Party) bool {
	c := g.of
	full := f.known.waiting+f.strange.waiting >= f.places || f.isFull()
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
		// No group has more places, so one of its own waiters must make way, or none.
		return p.First && g.waiting > 0 && g.sendAway(false)
	}
	return most.sendAway(p.First)
}

// most returns the group with the most places in line; nil if none has any.
func (c *class) most() (most *group) {
	for place := c.line.Front(); place != nil; place = place.Next() {
		if g := place.Value.(*group); most == nil || g.waiting > most.waiting {
			most = g
		}
	}
	return most
}

// sendAway turns away the last waiter of the group's host with the most waiters. A waiter that goes first is turned away only if anyone
// is set.
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

// next returns the waiter whose turn it is at the host.
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

// forget forgets a host without slots and waiters, and its group if it has no other host.
func (h *host) forget() {
	g := h.of
	if h.running == 0 && h.place == nil && h.name != "" {
		delete(g.hosts, h.name)
	}
	if len(g.hosts) == 0 && g.name != "" { // if everything goes to one place, that place is always needed
		delete(g.of.groups, g.name)
	}
}
