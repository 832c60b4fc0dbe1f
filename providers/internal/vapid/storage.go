package vapid

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/caddyserver/certmagic"

	"github.com/matrix-push/caddy-matrix-push/internal/trial"
)

// validName keeps a name inside its folder in any storage.
var validName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// FromStorage returns the key of that name, and makes and stores it if there is none. Everyone who shares the storage gets the same key,
// even at the same time: it is made under the storage's lock. A stored key that cannot be read is an error and is not replaced: that would
// lose every subscription made for it.
func FromStorage(ctx context.Context, storage certmagic.Storage, name string) (*Key, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("the VAPID key's name %q has characters other than letters, digits, '.', '_' and '-'", name)
	}
	path := pathOf(name)
	if key, err := load(ctx, storage, path); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}

	if err := storage.Lock(ctx, path); err != nil {
		return nil, fmt.Errorf("locking the VAPID key %s: %w", path, err)
	}
	key, err := loadOrMake(ctx, storage, path)
	// The lock is released even if the caller's context has ended.
	if unlock := storage.Unlock(context.WithoutCancel(ctx), path); unlock != nil && err == nil {
		return nil, fmt.Errorf("unlocking the VAPID key %s: %w", path, unlock)
	}
	return key, err
}

// CheckStorage returns why FromStorage would fail, as far as that can be seen on this machine: only if the storage is a folder of files.
func CheckStorage(ctx context.Context, storage certmagic.Storage, name string) error {
	files, ok := storage.(*certmagic.FileStorage)
	if !ok {
		return nil
	}
	path := pathOf(name)
	if _, err := load(ctx, storage, path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := trial.Create(files.Filename(path)); err != nil {
		return fmt.Errorf("%s cannot be created: %w", files.Filename(path), err)
	}
	return nil
}

// pathOf returns where the key of that name is in a storage.
func pathOf(name string) string { return "matrix_push/vapid/" + name + ".pem" }

// loadOrMake needs the lock: another process may have made the key since the first look.
func loadOrMake(ctx context.Context, storage certmagic.Storage, path string) (*Key, error) {
	if key, err := load(ctx, storage, path); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key, err := Generate()
	if err != nil {
		return nil, err
	}
	data, err := key.PEM()
	if err != nil {
		return nil, err
	}
	if err := storage.Store(ctx, path, data); err != nil {
		return nil, fmt.Errorf("storing the VAPID key %s: %w", path, err)
	}
	return key, nil
}

func load(ctx context.Context, storage certmagic.Storage, path string) (*Key, error) {
	data, err := storage.Load(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("loading the VAPID key %s: %w", path, err)
	}
	key, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("the stored VAPID key %s: %w", path, err)
	}
	return key, nil
}
