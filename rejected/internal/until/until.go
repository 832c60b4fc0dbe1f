// Package until ends a store's calls with their contexts, whatever a disk or a network does meanwhile.
package until

import "context"

// Calls bounds how many calls go on at a time, among them those that nobody waits for any more. It is the capacity of a channel.
type Calls chan struct{}

// Run runs fn and returns what it returns, or the context's error if that is done first. Then fn goes on, and what it returns is lost, so
// it must not write to what its caller reads. While as many calls go on as may, fn waits, and does not begin once the context is done.
func Run[T any](ctx context.Context, calls Calls, fn func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	select {
	case calls <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if ctx.Done() == nil {
		defer func() { <-calls }()
		return fn()
	}
	type result struct {
		value T
		err   error
	}
	ended := make(chan result, 1)
	go func() {
		defer func() { <-calls }()
		value, err := fn()
		ended <- result{value, err}
	}()
	select {
	case r := <-ended:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// Do is Run for what returns nothing but an error.
func Do(ctx context.Context, calls Calls, fn func() error) error {
	_, err := Run(ctx, calls, func() (struct{}, error) { return struct{}{}, fn() })
	return err
}
