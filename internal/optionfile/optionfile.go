// Package optionfile reads the files that options name. Its errors say how to set the option.
package optionfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Read reads a file.
func Read(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	return data, Hint(path, err)
}

// Hint adds to the error of a file what to do about it.
func Hint(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist) && !filepath.IsAbs(path):
		if dir, unknown := os.Getwd(); unknown == nil {
			return fmt.Errorf("%w: write the path of a file that exists; this one starts in the folder %s", err, dir)
		}
		fallthrough
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: write the path of a file that exists", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: let Caddy's user read the file", err)
	case errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("%w: write the path of a file", err)
	default:
		return err
	}
}
