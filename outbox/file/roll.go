package file

import (
	"cmp"
	"container/heap"
	"slices"
)

// roll has the entries of an app in two orders: by when they were accepted, and by when they expire. So questions about all entries are
// answered without looking at each, which matters because pushes on their way wait for the same lock.
type roll struct {
	slots  []slot // by sequence number
	gone   int    // how many slots are empty
	expiry expiry
}

// slot is an entry's position in the order. It is empty when the entry is gone: closing the gap at once would move all later slots.
type slot struct {
	seq  uint64
	item *item
}

func (r *roll) find(seq uint64) (at int, found bool) {
	return slices.BinarySearchFunc(r.slots, seq, func(s slot, seq uint64) int { return cmp.Compare(s.seq, seq) })
}

func (r *roll) add(it *item) {
	if at, found := r.find(it.seq); found { // it could not be removed after all
		r.slots[at].item = it
		r.gone--
	} else {
		r.slots = slices.Insert(r.slots, at, slot{it.seq, it}) // nearly always the end
	}
	heap.Push(&r.expiry, it)
}

func (r *roll) remove(it *item) {
	heap.Remove(&r.expiry, it.turn)
	at, _ := r.find(it.seq)
	r.slots[at].item = nil
	if r.gone++; r.gone*2 > len(r.slots) {
		r.slots = slices.DeleteFunc(r.slots, func(s slot) bool { return s.item == nil })
		r.gone = 0
	}
}

// after returns at most so many entries after a sequence number, and whether there are more.
func (r *roll) after(seq uint64, most int) (items []*item, more bool) {
	at, found := r.find(seq)
	if found {
		at++
	}
	for _, s := range r.slots[at:] {
		switch {
		case s.item == nil:
		case len(items) == most:
			return items, true
		default:
			items = append(items, s.item)
		}
	}
	return items, false
}

// expiry is a heap of entries: the one that expires first is at the top.
type expiry []*item

func (x expiry) Len() int { return len(x) }

func (x expiry) Less(i, j int) bool {
	if c := x[i].expires.Compare(x[j].expires); c != 0 {
		return c < 0
	}
	return x[i].seq < x[j].seq
}

func (x expiry) Swap(i, j int) {
	x[i], x[j] = x[j], x[i]
	x[i].turn, x[j].turn = i, j
}

// Push implements heap.Interface.
func (x *expiry) Push(v any) {
	it := v.(*item)
	it.turn = len(*x)
	*x = append(*x, it)
}

// Pop implements heap.Interface.
func (x *expiry) Pop() any {
	last := len(*x) - 1
	it := (*x)[last]
	(*x)[last] = nil
	*x = (*x)[:last]
	return it
}
