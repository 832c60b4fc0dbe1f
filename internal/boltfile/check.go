package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/matrix-push/caddy-matrix-push/internal/trial"
)

// ErrInUse means that another process has the file open.
var ErrInUse = errors.New("the file is in use by another process, most likely a running Caddy")

// Check returns why Open would fail, or ErrInUse if another process has the file open. It changes nothing, and does not wait for the other
// process. If other users can read or write the file, one warning is logged.
func Check(path string, log *slog.Logger) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := trial.Create(path); err != nil {
			return fmt.Errorf("%s cannot be created: %w", path, err)
		}
		return nil
	case err != nil:
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	warn(log, path, file)
	if err := file.Close(); err != nil {
		return err
	}
	if info.Size() > 0 { // bbolt makes a database of an empty file
		if err := readable(path); err != nil {
			return err
		}
	}
	if err := trial.Grow(filepath.Dir(path)); err != nil {
		return fmt.Errorf("%s cannot grow: %w", path, err)
	}
	return nil
}

// readable opens a database to read it, as far as Open reads it.
func readable(path string) error {
	db, _, err := open(path, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true, Timeout: time.Nanosecond})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrInUse
	case err != nil:
		return err
	default:
		return db.Close()
	}
}
