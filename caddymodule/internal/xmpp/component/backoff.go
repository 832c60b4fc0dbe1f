package component

import "time"

const (
	// firstRetry is the longest time until the first retry. It doubles with each retry, up to lastRetry.
	//
	// While a component is not connected, ejabberd deletes the registrations of users who get messages. So the time between two retries
	// stays short. There are at most twelve in a minute.
	firstRetry = time.Second
	lastRetry  = 8 * time.Second
	// operatorRetry is the longest time until a retry after a failure that only the operator can fix.
	operatorRetry = time.Minute
	// steady is how long a stream must last before the next retry is a first one again.
	steady = time.Minute
	// spread is the part of a time that is random, so several gateways don't retry at the same time.
	spread = 0.2
)

// backoff decides when to connect again.
type backoff struct{ failures int }

// next returns the time until the next attempt. The last attempt lasted as long as given, and jitter is between 0 and 1.
func (b *backoff) next(f Failure, lasted time.Duration, jitter float64) time.Duration {
	if f.Online && lasted >= steady {
		b.failures = 0
	}
	longest := min(firstRetry<<min(b.failures, 10), lastRetry)
	b.failures++
	if f.MustAct() {
		longest = operatorRetry
	}
	return longest - time.Duration(jitter*spread*float64(longest))
}
