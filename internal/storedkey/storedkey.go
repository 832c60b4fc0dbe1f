// Package storedkey keeps keys in Caddy's storage. Each key is made once, and everyone who shares the storage has the same one.
package storedkey

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/caddyserver/certmagic"
)

// Kind is a kind of key.
type Kind[K any] struct {
	// Name is what errors call the key.
	Name string
	// Parse reads a stored key. Its errors never show the content.
	Parse func([]byte) (K, error)
	// Make makes a new key, and returns it also as it is stored.
	Make func() (K, []byte, error)
}

// Load returns the key at a path of the storage. The error is [fs.ErrNotExist] if there is none.
func (k *Kind[K]) Load(ctx context.Context, storage certmagic.Storage, path string) (key K, err error) {
	data, err := storage.Load(ctx, path)
	if err != nil {
		return key, fmt.Errorf("loading the %s %s: %w", k.Name, path, err)
	}
	if key, err = k.Parse(data); err != nil {
		return key, fmt.Errorf("the stored %s %s: %w", k.Name, path, err)
	}
	return key, nil
}

// LoadOrMake returns the key at a path of the storage, and makes and stores it if there is none. It is made under the storage's lock, so
// everyone gets the same key, even at the same time. A stored key that can't be read is an error, and is not replaced.
func (k *Kind[K]) LoadOrMake(ctx context.Context, storage certmagic.Storage, path string) (K, error) {
	if key, err := k.Load(ctx, storage, path); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	var none K
	if err := storage.Lock(ctx, path); err != nil {
		return none, fmt.Errorf("locking the %s %s: %w", k.Name, path, err)
	}
	key, err := k.locked(ctx, storage, path)
	// The lock is released even if the caller's context has ended.
	if unlock := storage.Unlock(context.WithoutCancel(ctx), path); unlock != nil && err == nil {
		return none, fmt.Errorf("unlocking the %s %s: %w", k.Name, path, unlock)
	}
	return key, err
}

// locked needs the lock: another process may have made the key since the first look.
func (k *Kind[K]) locked(ctx context.Context, storage certmagic.Storage, path string) (K, error) {
	if key, err := k.Load(ctx, storage, path); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	var none K
	key, data, err := k.Make()
	if err != nil {
		return none, err
	}
	if err := storage.Store(ctx, path, data); err != nil {
		return none, fmt.Errorf("storing the %s %s: %w", k.Name, path, err)
	}
	return key, nil
}
