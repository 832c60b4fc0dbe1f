// Package limit bounds how many operations run at the same time, and how many may wait for their turn.
package limit

import (
	"context"
	"errors"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// ErrBusy means that no more may wait for their turn.
var ErrBusy = errors.New("too many in flight and waiting")

// Limiter lets a number of holders run and a number of others wait, and turns the rest away at once. A queue without a bound would only
// turn an overload into latency.
type Limiter struct {
	slots   *semaphore.Weighted
	size    int
	bound   int64
	holders atomic.Int64 // running and waiting
}

// New returns a limiter for a number of running holders, and a number of others waiting in the queue.
func New(running, waiting int) *Limiter {
	return &Limiter{slots: semaphore.NewWeighted(int64(running)), size: running, bound: int64(running + waiting)}
}

// Acquire waits for a slot. It returns ErrBusy at once if the queue is full, and the context's error if that ends first. After a nil
// error, call Release once.
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

// Release returns the slot.
func (l *Limiter) Release() {
	l.slots.Release(1)
	l.holders.Add(-1)
}

// Size returns how many holders may run at the same time.
func (l *Limiter) Size() int { return l.size }

// Idle reports whether nobody holds a slot or waits for one.
func (l *Limiter) Idle() bool { return l.holders.Load() == 0 }
