// Package boltfile opens bbolt files as a server needs it. A damaged file does not end the process: it is an error that says what to
// do.
package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const lockTimeout = 2 * time.Second

// Open opens the file, or creates it and its directory. It also returns the file that bbolt reads from, which is closed with the
// database. (Opening and closing the file a second time would lose the lock on some systems.) One process at a time can have it open.
// If other users can read or write the file, one warning is logged.
func Open(path string, log *slog.Logger) (*bbolt.DB, *os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, fmt.Errorf("%s: its folder cannot be created: set path to a folder that Caddy's user can write to: %w", path, err)
	}
	for range maxMoved {
		db, file, err := open(path, &bbolt.Options{Timeout: lockTimeout})
		if err != nil {
			return nil, nil, err
		}
		if moved(path, file) { // it was replaced while this process waited for the lock
			if err := db.Close(); err != nil {
				return nil, nil, err
			}
			continue
		}
		if target, err := filepath.EvalSymlinks(path); err == nil {
			if err := removeLeftover(target); err != nil {
				log.Warn("an unfinished copy of the database file cannot be removed", "file", target+suffix, "error", err)
			}
		}
		warn(log, path, file)
		return db, file, nil
	}
	return nil, nil, fmt.Errorf("%s keeps being replaced", path)
}

// maxMoved bounds how often a file may be replaced while it is being opened.
const maxMoved = 5

// moved reports whether another file has taken the file's name.
func moved(path string, file *os.File) bool {
	is, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && !os.SameFile(is, named) || errors.Is(err, fs.ErrNotExist)
}

// open opens the file with options, to which it adds those that are always the same.
func open(path string, options *bbolt.Options) (db *bbolt.DB, file *os.File, err error) {
	// bbolt panics on some damaged files, and then leaves the file open and locked.
	defer func() {
		if err != nil && errors.Is(err, errPanicked) {
			abandon(file)
			db, file = nil, nil
		}
	}()
	options.FreelistType, options.NoStatistics = bbolt.FreelistMapType, true
	options.OpenFile = func(name string, flag int, perm os.FileMode) (*os.File, error) {
		var err error
		file, err = os.OpenFile(name, flag, perm)
		return file, err
	}
	err = Guard(path, func() error {
		db, err = bbolt.Open(path, 0o600, options)
		return err
	})
	switch {
	case err == nil:
		return db, file, nil
	case errors.Is(err, errPanicked):
		return nil, file, err
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, nil, fmt.Errorf(
			"%s is locked, most likely by another Caddy process; use `caddy reload` to change a running one: %w", path, err)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum),
		cutShort(path):
		return nil, nil, Damaged(path, err)
	default:
		return nil, nil, fmt.Errorf("%s cannot be opened: %w", path, err)
	}
}

var errPanicked = errors.New("bbolt panicked")

// Guard calls a function that uses a file, and turns a panic of bbolt into an error.
func Guard(path string, use func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = Damaged(path, fmt.Errorf("%w: %v", errPanicked, r))
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // reading a missing page of a truncated file faults
	return use()
}

// cutShort reports whether a file is shorter than the two pages that bbolt begins with. bbolt has no error value for that.
func cutShort(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0 && info.Size() < int64(2*os.Getpagesize())
}

// Damaged returns the error for a file that cannot be read.
func Damaged(path string, err error) error {
	return fmt.Errorf("%s is damaged or not a database; move it away to start with an empty one: %w", path, err)
}

// Resolve returns the absolute path of the file that an option names, or an error if it cannot be used. If the option is not set, it is
// the file with the given name in Caddy's data directory.
func Resolve(option, name string) (string, error) {
	path := filepath.Join(caddy.AppDataDir(), "matrix_push", name)
	if option != "" {
		var err error
		if path, err = caddy.NewReplacer().ReplaceOrErr(option, true, true); err != nil {
			return "", err
		}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path, nil
	case err != nil:
		return "", err
	case info.IsDir():
		return "", fmt.Errorf("%s is a directory: write the path of a file in it", path)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a regular file: write the path of another file", path)
	}
	return path, nil
}
