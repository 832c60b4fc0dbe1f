package vapid

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/caddyserver/certmagic"

	"github.com/matrix-push/caddy-matrix-push/internal/storedkey"
	"github.com/matrix-push/caddy-matrix-push/internal/trial"
)

// validName keeps a name inside its folder in any storage.
var validName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// stored is how a VAPID key is stored.
var stored = storedkey.Kind[*Key]{
	Name:  "VAPID key",
	Parse: Parse,
	Make: func() (*Key, []byte, error) {
		key, err := Generate()
		if err != nil {
			return nil, nil, err
		}
		data, err := key.PEM()
		return key, data, err
	},
}

// FromStorage returns the key of that name, and makes and stores it if there is none. Everyone who shares the storage gets the same key. A
// stored key that cannot be read is an error and is not replaced: that would lose every subscription made for it.
func FromStorage(ctx context.Context, storage certmagic.Storage, name string) (*Key, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("the VAPID key's name %q has characters other than letters, digits, '.', '_' and '-'", name)
	}
	return stored.LoadOrMake(ctx, storage, pathOf(name))
}

// CheckStorage returns why FromStorage would fail, as far as that can be seen on this machine: only if the storage is a folder of files.
func CheckStorage(ctx context.Context, storage certmagic.Storage, name string) error {
	files, ok := storage.(*certmagic.FileStorage)
	if !ok {
		return nil
	}
	path := pathOf(name)
	if _, err := stored.Load(ctx, storage, path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := trial.Create(files.Filename(path)); err != nil {
		return fmt.Errorf("%s cannot be created: %w", files.Filename(path), err)
	}
	return nil
}

// pathOf returns where the key of that name is in a storage.
func pathOf(name string) string { return "matrix_push/vapid/" + name + ".pem" }
