package gateway

// Result is what became of one device of a request by the time the request was answered.
type Result uint8

const (
	// Unavailable is what was neither delivered nor kept: the homeserver shall send it again. The zero value, as it costs the least.
	Unavailable Result = iota
	// Delivered is what the push service took.
	Delivered
	// Queued is what the outbox has.
	Queued
	// Duplicate is an event that was delivered to the device before, or is kept for it.
	Duplicate
	// Dropped is what can never be delivered, or is not wanted, while the pushkey is fine.
	Dropped
	// Rejected is a device whose pushkey is dead.
	Rejected
	// RejectedBefore is one whose pushkey is on record as dead; nobody was asked.
	RejectedBefore

	results
)

// Results is how many devices of a request had each result.
type Results [results]int

// String is the result as metrics and logs show it.
func (r Result) String() string {
	return [results]string{"unavailable", "delivered", "queued", "duplicate", "dropped", "rejected", "rejected_before"}[r]
}

// accepted says that there is nothing left for the homeserver to do.
func (r Result) accepted() bool { return r != Unavailable && !r.dead() }

// dead says that the pushkey goes into the answer's list of rejected ones.
func (r Result) dead() bool { return r == Rejected || r == RejectedBefore }
