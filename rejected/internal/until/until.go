// Package until ends a store's calls with their contexts, whatever a disk or a network does meanwhile.
package until

import "context"

// Calls bounds how many calls run at a time, including those that nobody waits for any more. The bound is the capacity of the channel.
type Calls chan struct{}

// Run runs fn and returns its results, or the context's error if the context is done first. In that case fn continues and its results are
// lost, so it must not write to anything that its caller reads. While the maximum number of calls runs, fn waits, and it does not start
// once the context is done.
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

// Do is Run for functions that return only an error.
func Do(ctx context.Context, calls Calls, fn func() error) error {
	_, err := Run(ctx, calls, func() (struct{}, error) { return struct{}{}, fn() })
	return err
}
