package gateway

import (
	"io"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

const (
	// maxInHand is how many bytes all requests together may hold: an eighth of the 256 MiB that docs/deployment.md gives the process.
	// The live heap is about twice that at a collection, and garbage adds half of it again.
	maxInHand = 32 << 20
	// reserveInHand is the part of it for small requests, so large ones do not crowd them out. Nearly all requests are small.
	reserveInHand = maxInHand / 4
	// smallInHand is how much a small request holds at most.
	smallInHand = 64 << 10
	// copiesInHand is how many copies of a body a request holds: the body as read, the decoded form, and what is made from that.
	copiesInHand = 3
	// deviceInHand is what each device adds: a message or an entry of the outbox, made of a reduced notification.
	deviceInHand = 8 << 10
)

// inHand bounds the bytes that all requests together hold. A request multiplies its body by its devices, so a few requests could
// otherwise take all memory.
type inHand struct{ common, reserve *semaphore.Weighted }

func newInHand() *inHand {
	return &inHand{semaphore.NewWeighted(maxInHand - reserveInHand), semaphore.NewWeighted(reserveInHand)}
}

// Hand counts what one request holds. Its methods are for one goroutine, except those of flights. A nil Hand has no bound.
type Hand struct {
	of              *inHand
	common, reserve int64
	owners          atomic.Int32 // the request, and those of its flights that hold on to its body
}

// Hand begins to count what a request holds, until [Hand.Close].
func (s *Shared) Hand() *Hand {
	h := &Hand{of: s.inHand}
	h.owners.Store(1)
	return h
}

// Grow counts more bytes, and reports whether there is room for them. It never waits. A request that is larger than the whole bound has
// room if it is the only one.
func (h *Hand) Grow(n int64) bool {
	if h == nil || n <= 0 {
		return true
	}
	small := h.common+h.reserve+n <= smallInHand
	most := min(n, maxInHand-reserveInHand-h.common)
	switch {
	case h.of.common.TryAcquire(most):
		h.common += most
	case small && h.of.reserve.TryAcquire(n):
		h.reserve += n
	default:
		return false
	}
	return true
}

// ForBody counts the bytes that a body of a size takes once it is read, and reports whether there is room for them.
func (h *Hand) ForBody(size int) bool { return h.Grow(copiesInHand*int64(size) - h.common - h.reserve) }

// Reader returns a reader that counts what is read from r.
func (h *Hand) Reader(r io.Reader) io.Reader { return handReader{h, r} }

type handReader struct {
	hand *Hand
	r    io.Reader
}

func (r handReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if !r.hand.Grow(int64(n)) {
		return n, ErrBusy()
	}
	return n, err
}

// share adds another owner.
func (h *Hand) share() {
	if h != nil {
		h.owners.Add(1)
	}
}

// Close returns all of it, once each owner has called it.
func (h *Hand) Close() {
	if h != nil && h.owners.Add(-1) == 0 {
		h.of.common.Release(h.common)
		h.of.reserve.Release(h.reserve)
	}
}

// weigh returns what a request's devices hold in addition to the body. A provider that reduces nothing may make a copy of the body for
// each device.
func (r *Request) weigh(deliveries []delivery) (n int64) {
	for i := range deliveries {
		switch app := deliveries[i].app; {
		case app == nil, deliveries[i].decided:
		case app.reduces():
			n += min(r.size, deviceInHand)
		default:
			n += r.size
		}
	}
	return n
}
