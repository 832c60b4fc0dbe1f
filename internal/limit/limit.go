// Package limit bounds how much of one thing goes on at a time, and how much may wait for its turn.
package limit

import (
	"context"
	"errors"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// ErrBusy says that as many already wait for their turn as may.
var ErrBusy = errors.New("too many in flight and waiting")

// Limiter lets a number of holders in, lets a number of others wait, and turns the rest away at once: a queue without a bound
// would only turn an overload into latency.
type Limiter struct {
	slots   *semaphore.Weighted
	size    int
	bound   int64
	holders atomic.Int64 // in and waiting
}

// New makes a limiter for running holders at a time and as many as waiting more in the queue.
func New(running, waiting int) *Limiter {
	return &Limiter{slots: semaphore.NewWeighted(int64(running)), size: running, bound: int64(running + waiting)}
}

// Acquire waits for a slot. It returns ErrBusy at once if the queue is full, and the context's error if that ends first. After a
// nil error, Release must be called once.
func (l *Limiter) Acquire(ctx context.Context) error {
	if l.holders.Add(1) > l.bound {
		l.holders.Add(-1)
		return ErrBusy
	}
	if err := l.slots.Acquire(ctx, 1); err != nil {
		l.holders.Add(-1)
		return err
	}
	return nil
}

// Release gives the slot back.
func (l *Limiter) Release() {
	l.slots.Release(1)
	l.holders.Add(-1)
}

// Size is how many are let in at a time.
func (l *Limiter) Size() int { return l.size }

// Idle says that nobody holds a slot or waits for one.
func (l *Limiter) Idle() bool { return l.holders.Load() == 0 }
