package file

import (
	"container/heap"
	"time"
	"unique"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/internal/bounds"
)

// room counts who has how much of an app's room, and decides who is displaced first. Entries that are being written count, and those that
// they displace don't. A search for room looks only at the entries that it displaces, however many there are.
type room struct {
	all    bounds.Amount
	of     [outbox.Proven + 1]bounds.Amount
	crowds [outbox.Proven + 1]map[unique.Handle[string]]*crowd
	ranks  [outbox.Proven][measures]rank // of the crowds that have entries to displace
}

// measure is a unit of room: entries or bytes.
type measure uint8

const (
	byEntries measure = iota
	bySize
	measures
)

func in(m measure, a bounds.Amount) int64 {
	if m == byEntries {
		return int64(a.Entries)
	}
	return a.Size
}

// crowd has the entries of one group and standing.
type crowd struct {
	group    unique.Handle[string]
	standing outbox.Standing
	has      bounds.Amount
	idle     newest // those that may be displaced, and some that have an attempt under way
	places   [measures]int
}

var noGroup = unique.Make("")

func newRoom() (r room) {
	for standing := range r.crowds {
		r.crowds[standing] = make(map[unique.Handle[string]]*crowd)
	}
	for standing := range r.ranks {
		for m := range measures {
			r.ranks[standing][m].by = m
		}
	}
	return r
}

// has returns how much a group has of a standing.
func (r *room) has(standing outbox.Standing, group unique.Handle[string]) (a bounds.Amount) {
	if c := r.crowds[standing][group]; c != nil {
		return c.has
	}
	return a
}

// hasGroup returns how much a group has.
func (r *room) hasGroup(group unique.Handle[string]) (a bounds.Amount) {
	for standing := range r.crowds {
		of := r.has(outbox.Standing(standing), group)
		a.Entries += of.Entries
		a.Size += of.Size
	}
	return a
}

// known returns how much there is, except the entries of strangers' hosts.
func (r *room) known() bounds.Amount {
	strangers, ungrouped := r.of[outbox.Stranger], r.has(outbox.Stranger, noGroup)
	return bounds.Amount{
		Entries: r.all.Entries - strangers.Entries + ungrouped.Entries, Size: r.all.Size - strangers.Size + ungrouped.Size,
	}
}

// book counts an entry, or uncounts it if n is -1.
func (r *room) book(standing outbox.Standing, group unique.Handle[string], size, n int) {
	c := r.crowds[standing][group]
	if c == nil {
		c = &crowd{group: group, standing: standing}
		r.crowds[standing][group] = c
	}
	for _, a := range []*bounds.Amount{&r.all, &r.of[standing], &c.has} {
		a.Entries += n
		a.Size += int64(n * size)
	}
	switch {
	case c.has.Entries == 0:
		delete(r.crowds[standing], group)
	case len(c.idle) > 0:
		for m := range measures {
			heap.Fix(&r.ranks[standing][m], c.places[m])
		}
	}
}

// offer lets an entry be displaced, unless it is proven.
func (r *room) offer(it *item) {
	c := r.crowds[it.standing][it.group]
	if it.standing == outbox.Proven || it.spot > 0 {
		return
	}
	heap.Push(&c.idle, it)
	if len(c.idle) > 1 {
		return
	}
	for m := range measures {
		heap.Push(&r.ranks[c.standing][m], c)
	}
}

// withhold keeps an entry from being displaced.
func (r *room) withhold(it *item) {
	if it.spot == 0 {
		return
	}
	c := r.crowds[it.standing][it.group]
	heap.Remove(&c.idle, it.spot-1)
	if len(c.idle) > 0 {
		return
	}
	for m := range measures {
		heap.Remove(&r.ranks[c.standing][m], c.places[m])
	}
}

// enter calls book and offer for an entry that was written, and leave undoes both.
func (r *room) enter(it *item) {
	r.book(it.standing, it.group, it.size, 1)
	r.offer(it)
}

func (r *room) leave(it *item) {
	r.withhold(it)
	r.book(it.standing, it.group, it.size, -1)
}

// next returns a crowd's newest entry that can be displaced, or nil. It passes over an entry with an attempt under way until that entry is
// offered again.
func (r *room) next(c *crowd, now time.Time) *item {
	for c != nil && len(c.idle) > 0 {
		it := c.idle[0]
		if it.device.idle(it, now) {
			return it
		}
		r.withhold(it)
	}
	return nil
}

// newcomer is an entry that needs room.
type newcomer struct {
	*room
	standing outbox.Standing
	group    unique.Handle[string]
	size     int64
	now      time.Time
	out      []*item // the entries that it displaces
}

// squeeze finds the entries that a newcomer must displace. If that does not make enough room, it displaces none.
func (n *newcomer) squeeze(b bounds.Bounds) bool {
	ok := n.share(b) && n.free(func() bounds.Amount { return n.all }, b.Room(), func(m measure) *item {
		if it := n.lower(m); it != nil {
			return it
		}
		return n.rival(m)
	})
	if !ok {
		n.back()
	}
	return ok
}

// share keeps the newcomer within the shares of its group and its standing.
func (n *newcomer) share(b bounds.Bounds) bool {
	if n.group == noGroup {
		return true
	}
	if n.standing == outbox.Proven && b.Shut(n.has(n.standing, n.group), n.of[n.standing]) {
		return false
	}
	ok := n.free(func() bounds.Amount { return n.hasGroup(n.group) }, b.OfGroup(), func(measure) *item { return n.relative() })
	if ok && n.standing == outbox.Stranger {
		ok = n.free(func() bounds.Amount { return n.of[n.standing] }, b.OfStrangers(), n.rival)
	}
	return ok
}

// free displaces entries until the newcomer fits.
func (n *newcomer) free(used func() bounds.Amount, most bounds.Amount, find func(measure) *item) bool {
	for {
		m, has := byEntries, used()
		switch {
		case has.Size+n.size > most.Size:
			m = bySize
		case has.Entries < most.Entries:
			return true
		}
		it := find(m)
		if it == nil || len(n.out) == bounds.MaxDisplaced {
			return false
		}
		n.leave(it)
		n.out = append(n.out, it)
	}
}

// back undoes all displacements.
func (n *newcomer) back() {
	for _, it := range n.out {
		n.enter(it)
	}
	n.out = nil
}

// relative returns an entry of the newcomer's group, and of a lower standing.
func (n *newcomer) relative() *item {
	for standing := range n.standing {
		if it := n.next(n.crowds[standing][n.group], n.now); it != nil {
			return it
		}
	}
	return nil
}

// lower returns an entry of a lower standing, of the group that has most.
func (n *newcomer) lower(m measure) *item {
	for standing := range n.standing {
		for rank := &n.ranks[standing][m]; rank.Len() > 0; {
			if it := n.next(rank.crowds[0], n.now); it != nil {
				return it
			}
		}
	}
	return nil
}

// rival returns an entry of the newcomer's standing, of a group that has more than the newcomer's group would have.
func (n *newcomer) rival(m measure) *item {
	if n.standing == outbox.Proven || n.group == noGroup {
		return nil
	}
	own := n.has(n.standing, n.group)
	own.Entries++
	own.Size += n.size
	for {
		c := n.ranks[n.standing][m].first()
		if c == nil || c.group == n.group || in(m, c.has) <= in(m, own) {
			return nil
		}
		if it := n.next(c, n.now); it != nil {
			return it
		}
	}
}

// rank is a heap of crowds: the largest is at the top.
type rank struct {
	by     measure
	crowds []*crowd
}

// first returns the largest crowd that has a group.
func (r *rank) first() *crowd {
	best := (*crowd)(nil)
	for i := range min(3, len(r.crowds)) {
		if c := r.crowds[i]; c.group != noGroup && (best == nil || in(r.by, c.has) > in(r.by, best.has)) {
			best = c
		}
		if i == 0 && best != nil {
			break
		}
	}
	return best
}

func (r *rank) Len() int           { return len(r.crowds) }
func (r *rank) Less(i, j int) bool { return in(r.by, r.crowds[i].has) > in(r.by, r.crowds[j].has) }

func (r *rank) Swap(i, j int) {
	r.crowds[i], r.crowds[j] = r.crowds[j], r.crowds[i]
	r.crowds[i].places[r.by], r.crowds[j].places[r.by] = i, j
}

// Push implements heap.Interface.
func (r *rank) Push(v any) {
	c := v.(*crowd)
	c.places[r.by] = len(r.crowds)
	r.crowds = append(r.crowds, c)
}

// Pop implements heap.Interface.
func (r *rank) Pop() any {
	last := len(r.crowds) - 1
	c := r.crowds[last]
	r.crowds[last] = nil
	r.crowds = r.crowds[:last]
	return c
}

// newest is a heap of entries: the newest is at the top.
type newest []*item

func (n newest) Len() int           { return len(n) }
func (n newest) Less(i, j int) bool { return n[i].seq > n[j].seq }

func (n newest) Swap(i, j int) {
	n[i], n[j] = n[j], n[i]
	n[i].spot, n[j].spot = i+1, j+1
}

// Push implements heap.Interface.
func (n *newest) Push(v any) {
	it := v.(*item)
	*n = append(*n, it)
	it.spot = len(*n)
}

// Pop implements heap.Interface.
func (n *newest) Pop() any {
	last := len(*n) - 1
	it := (*n)[last]
	(*n)[last], it.spot = nil, 0
	*n = (*n)[:last]
	return it
}
