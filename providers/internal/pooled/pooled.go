// Package pooled shares signers and token sources among all apps with the same credential, and keeps them across reloads.
package pooled

import (
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
)

// Pool holds values by name.
type Pool[T any] struct{ *caddy.UsagePool }

// NewPool returns an empty pool.
func NewPool[T any]() Pool[T] { return Pool[T]{caddy.NewUsagePool()} }

// entry is a value as Caddy's pool requires it.
type entry[T any] struct{ value T }

// Destruct has nothing to free.
func (entry[T]) Destruct() error { return nil }

// Share is one user's share of a value. A nil Share has nothing to release.
type Share[T any] struct {
	Value T
	pool  Pool[T]
	name  string
}

// Take returns a share of the named value, and makes the value if there is none.
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

// Release gives the share back; it may be called once. Callers may go on using the value.
func (s *Share[T]) Release() error {
	if s == nil {
		return nil
	}
	_, err := s.pool.Delete(s.name)
	return err
}

// Follower has a share of the value for the credential in a file, and takes another share when the file is replaced. It is safe for
// concurrent use.
type Follower[C, T any] struct {
	*keyfile.File[C]
	take func(C) (*Share[T], error)

	mu     sync.Mutex
	share  *Share[T] // also after Close, for pushes still in progress
	closed bool
}

// Follow opens a credential, and takes a share of its value. It sets the options' Changed.
func Follow[C, T any](o keyfile.Options[C], take func(C) (*Share[T], error)) (*Follower[C, T], error) {
	f := &Follower[C, T]{take: take}
	o.Changed = func(c C) { _ = f.use(c) } // on error, the previous credential's value stays in use
	var err error
	if f.File, err = keyfile.Open(o); err != nil {
		return nil, err
	}
	if err := f.use(f.Get()); err != nil {
		return nil, err
	}
	return f, nil
}

// use takes a share of a credential's value, and releases the previous one.
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

// Current returns the value for the current credential.
func (f *Follower[C, T]) Current() T {
	f.Get() // calls use if the file was replaced
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
