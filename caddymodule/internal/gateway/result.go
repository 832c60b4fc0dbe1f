package gateway

// Result is what became of one device of a request by the time the request was answered.
type Result uint8

const (
	// Unavailable means that the push was neither delivered nor kept, so the homeserver should send it again. It is the zero value
	// because it does the least harm.
	Unavailable Result = iota
	// Delivered means that the push service took the push.
	Delivered
	// Queued means that the outbox has the push.
	Queued
	// Duplicate means that the event was delivered to the device before, or is pending for it.
	Duplicate
	// Dropped means that the push is not wanted or can never be delivered, although the pushkey is fine.
	Dropped
	// Rejected means that the device's pushkey is dead.
	Rejected
	// RejectedBefore means that the pushkey is on record as dead; the push service was not asked.
	RejectedBefore

	results
)

// Results is how many devices of a request had each result.
type Results [results]int

// String returns the result as metrics and logs show it.
func (r Result) String() string {
	return [results]string{"unavailable", "delivered", "queued", "duplicate", "dropped", "rejected", "rejected_before"}[r]
}

// accepted reports whether the homeserver has nothing left to do.
func (r Result) accepted() bool { return r != Unavailable && !r.dead() }

// dead reports whether the answer rejects the pushkey.
func (r Result) dead() bool { return r == Rejected || r == RejectedBefore }
