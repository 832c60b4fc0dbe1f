// Package pooled shares what signs and gets tokens among all apps with the same credential, and keeps it across reloads.
package pooled

import (
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
)

// Pool has values by name.
type Pool[T any] struct{ *caddy.UsagePool }

// NewPool makes a pool.
func NewPool[T any]() Pool[T] { return Pool[T]{caddy.NewUsagePool()} }

// entry is a value as Caddy's pool wants it.
type entry[T any] struct{ value T }

// Destruct has nothing to free.
func (entry[T]) Destruct() error { return nil }

// Share is one user's share of a value. A nil Share has nothing to release.
type Share[T any] struct {
	Value T
	pool  Pool[T]
	name  string
}

// Take returns a share of the value of a name, which is made if there is none.
func (p Pool[T]) Take(name string, produce func() (T, error)) (*Share[T], error) {
	shared, _, err := p.LoadOrNew(name, func() (caddy.Destructor, error) {
		value, err := produce()
		return entry[T]{value}, err
	})
	if err != nil {
		return nil, err
	}
	return &Share[T]{shared.(entry[T]).value, p, name}, nil
}

// Release gives the share back, once. Whoever still has the value can go on with it.
func (s *Share[T]) Release() error {
	if s == nil {
		return nil
	}
	_, err := s.pool.Delete(s.name)
	return err
}

// Follower has a share of what belongs to the credential in a file, and another one when the file was replaced. It is safe for concurrent
// use.
type Follower[C, T any] struct {
	*keyfile.File[C]
	take func(C) (*Share[T], error)

	mu     sync.Mutex
	share  *Share[T] // also after Close, for pushes that are still on their way
	closed bool
}

// Follow opens a credential, and takes a share of what belongs to it. The options' Changed is the follower's own.
func Follow[C, T any](o keyfile.Options[C], take func(C) (*Share[T], error)) (*Follower[C, T], error) {
	f := &Follower[C, T]{take: take}
	o.Changed = func(c C) { _ = f.use(c) } // what belongs to the credential before stays in use
	var err error
	if f.File, err = keyfile.Open(o); err != nil {
		return nil, err
	}
	if err := f.use(f.Get()); err != nil {
		return nil, err
	}
	return f, nil
}

// use takes a share of what belongs to a credential, and releases the one before.
func (f *Follower[C, T]) use(c C) error {
	next, err := f.take(c)
	if err != nil {
		return err
	}
	f.mu.Lock()
	before, closed := f.share, f.closed
	f.share = next
	f.mu.Unlock()
	if closed {
		return next.Release()
	}
	return before.Release()
}

// Current returns what belongs to the credential as it is now.
func (f *Follower[C, T]) Current() T {
	f.Get() // which calls use if the file was replaced
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.share.Value
}

// Close releases the share.
func (f *Follower[C, T]) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return f.share.Release()
}
