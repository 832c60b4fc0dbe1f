package providertest

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// prompt is how soon a push must return once nothing holds it up any more. It is generous, since it only needs to distinguish soon
	// from never.
	prompt = 10 * time.Second

	// patience is how long the suite waits for a method of the provider.
	patience = 20 * time.Second

	// maxStuck is how many pushes may hang before the suite makes no more.
	maxStuck = 2
)

// run is what the tests of one [Run] share.
type run struct {
	// stuck is how many calls did not return in time.
	stuck atomic.Int32
}

// result is how a call ended.
type result[T any] struct {
	value    T
	returned bool
	panicked any
	stack    []byte
}

// attempt calls a method of the provider in a separate goroutine. If the method panics or does not return within the limit, it fails
// the test and returns false. So a bad provider fails tests, but neither ends the test binary nor hangs it.
func attempt[T any](t testing.TB, r *run, what string, limit time.Duration, call func() T) (value T, ok bool) {
	t.Helper()
	done := make(chan result[T], 1)
	go func() {
		var end result[T]
		defer func() {
			if !end.returned {
				end.panicked, end.stack = recover(), debug.Stack()
			}
			done <- end
		}()
		end.value = call()
		end.returned = true
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case end := <-done:
		if !end.returned {
			t.Errorf("%s panics: %v\n%s", what, end.panicked, end.stack)
		}
		return end.value, end.returned
	case <-timer.C:
		r.stuck.Add(1)
		t.Errorf("%s has not returned after %s: it must always return soon, at the latest when its context is done", what, limit)
		return value, false
	}
}

// call makes a push, and checks what must be true of every outcome. It returns false if there is no outcome.
func (b *bench) call(ctx context.Context, t *testing.T, p *providers.Push, limit time.Duration) (o providers.Outcome, ok bool) {
	t.Helper()
	if stuck := b.suite.run.stuck.Load(); stuck >= maxStuck {
		t.Errorf("no push was made, because %d earlier calls have not returned", stuck)
		return o, false
	}
	provider := b.provider
	if o, ok = attempt(t, b.suite.run, "Push", limit, func() providers.Outcome { return provider.Push(ctx, p) }); ok {
		b.check(t, o)
	}
	return o, ok
}

// make makes a provider. If the provider's clean-up does not return, it ends the test binary, since nothing else can.
func (s *Suite) make(t *testing.T, server *TLSServer, url, caFile string) (providers.Provider, *providers.Push) {
	t.Helper()
	var overdue *time.Timer
	t.Cleanup(func() { // runs last
		if overdue != nil {
			overdue.Stop()
		}
	})
	provider, push := s.New(t, url, caFile)
	t.Cleanup(func() { // runs first
		overdue = time.AfterFunc(patience, func() {
			panic(fmt.Sprintf("%s: the clean-up that New registered has not returned after %s", t.Name(), patience))
		})
		if s.run.stuck.Load() > 0 {
			server.CloseClientConnections() // the server would wait for the connections of a stuck push
		}
	})
	return provider, push
}
