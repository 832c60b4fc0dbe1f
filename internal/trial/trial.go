// Package trial finds out in advance whether a file could be created. Permissions do not show that: a disk may be full, read-only,
// or under a quota. So it creates a file, and removes it at once.
package trial

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// size is how much a trial writes: about as much as an empty database takes.
const size = 64 << 10

// pattern is for the names of what a trial creates.
const pattern = ".matrix-push-check-*"

// Create returns why the file could not be created, with the directories above it that do not exist yet. It leaves nothing behind.
func Create(file string) (err error) {
	dir := filepath.Dir(file)
	above, err := existing(dir)
	if err != nil {
		return err
	}
	in := above
	if above != dir {
		if in, err = os.MkdirTemp(above, pattern); err != nil {
			return fmt.Errorf("the directory %s cannot be created in %s: %w", dir, above, cause(err))
		}
		defer func() { err = errors.Join(err, os.Remove(in)) }()
	}
	f, err := os.CreateTemp(in, pattern)
	if err != nil {
		return fmt.Errorf("no file can be created in %s: %w", above, cause(err))
	}
	return write(f, above)
}

// Grow returns an error if a file in the directory could not grow, because there is no space left. It knows nothing about a directory in
// which it can create no file.
func Grow(dir string) error {
	if f, err := os.CreateTemp(dir, pattern); err == nil {
		return write(f, dir)
	}
	return nil
}

// write fills a new file, and removes it.
func write(f *os.File, dir string) error {
	content := make([]byte, size)
	_, _ = rand.Read(content) // never fails; zeros would take no space in some file systems
	_, err := f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		err = fmt.Errorf("nothing can be written in %s: %w", dir, cause(err))
	}
	return errors.Join(err, os.Remove(f.Name()))
}

// existing returns the directory, or the nearest one above it that exists.
func existing(dir string) (string, error) {
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && info.IsDir():
			return dir, nil
		case err == nil:
			return "", fmt.Errorf("%s is not a directory", dir)
		case !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir):
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}

// cause returns an error without the name of what the trial created.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
