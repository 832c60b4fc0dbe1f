package gateway

import (
	"io"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

const (
	// maxInHand is how many bytes of requests are in hand at a time: an eighth of the 256 MiB that docs/deployment.md gives the process.
	// What lives is twice that when it is collected, and half as much again is garbage.
	maxInHand = 32 << 20
	// reserveInHand is the part of it for small requests, so that large ones do not turn them away: nearly all are small.
	reserveInHand = maxInHand / 4
	// smallInHand is what such a request has in hand at most.
	smallInHand = 64 << 10
	// copiesInHand is how often a body is in hand: as it was read, what was decoded of it, and what is made of that.
	copiesInHand = 3
	// deviceInHand is what a device has in hand on its way: a message, or an entry of the outbox, of a notification that was reduced.
	deviceInHand = 8 << 10
)

// inHand bounds the bytes that requests have in hand, over all of them. What a request may multiply by its devices is its body, so a few
// requests could take all memory.
type inHand struct{ common, reserve *semaphore.Weighted }

func newInHand() *inHand {
	return &inHand{semaphore.NewWeighted(maxInHand - reserveInHand), semaphore.NewWeighted(reserveInHand)}
}

// Hand is what one request has in hand. Its methods other than the flights' are for one goroutine. A nil Hand has no bound.
type Hand struct {
	of              *inHand
	common, reserve int64
	owners          atomic.Int32 // the request, and its flights that hold on to its body
}

// Hand begins to count what a request has in hand, until [Hand.Close].
func (s *Shared) Hand() *Hand {
	h := &Hand{of: s.inHand}
	h.owners.Store(1)
	return h
}

// Grow counts more bytes, and reports whether there is room for them. It never waits. A request that is larger than all there is to have
// has room if it is the only one.
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

// ForBody counts what a body of so many bytes takes once it is read, and reports whether there is room for it.
func (h *Hand) ForBody(size int) bool { return h.Grow(copiesInHand*int64(size) - h.common - h.reserve) }

// Reader counts what is read.
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

// share lets another owner hold on to it.
func (h *Hand) share() {
	if h != nil {
		h.owners.Add(1)
	}
}

// Close gives all of it back, once each owner has closed it.
func (h *Hand) Close() {
	if h != nil && h.owners.Add(-1) == 0 {
		h.of.common.Release(h.common)
		h.of.reserve.Release(h.reserve)
	}
}

// weigh is what a request's devices have in hand beside the body. A provider that reduces nothing may make as much as the body for each.
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
