package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"go.etcd.io/bbolt"
)

// suffix is appended to the name of a replacement until it takes its place. No other file has such a name.
const suffix = ".compact"

// maxLate bounds how much of a replacement is written while everything else waits.
const maxLate = 16 << 20

var errTooLate = errors.New("too much has changed in the meantime")

// CanReplace reports whether the system can replace files that are open.
const CanReplace = runtime.GOOS != "windows"

// Replacement is a copy of a database without its free pages, which replaces the database while it is in use. It is as durable as the
// database at each step. A crash before the renaming in [Replacement.Replace] leaves the database, and a crash after it leaves the
// copy, which has everything that the database had. Opening the database removes what a crash left of a copy.
//
// Keys are copied in order, a few at a time. Later changes are found by comparing the two.
type Replacement struct {
	DB   *bbolt.DB
	File *os.File
	// SyncDir makes the names in a directory durable. Only tests replace it.
	SyncDir func(dir string) error

	name, temp  string
	bucket, key []byte // the last ones that were copied
}

// NewReplacement creates a replacement for the database that was opened at a path.
func NewReplacement(path string, old *os.File) (r *Replacement, err error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	r = &Replacement{SyncDir: syncDir, name: target, temp: target + suffix}
	if err := r.stillThere(old); err != nil {
		return nil, err
	}
	if err := removeLeftover(target); err != nil {
		return nil, err
	}
	r.DB, err = bbolt.Open(r.temp, 0o600, &bbolt.Options{
		Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, NoStatistics: true, NoSync: true, NoGrowSync: true,
		OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			var err error
			r.File, err = os.OpenFile(name, flag|os.O_EXCL, perm) // do not follow a link
			return r.File, err
		},
	})
	if err == nil {
		if err = liken(r.File, old); err == nil {
			err = syncDir(filepath.Dir(target)) // otherwise it might fail later, when it is needed
		}
	}
	if err != nil {
		return nil, errors.Join(err, r.Discard())
	}
	return r, nil
}

// stillThere returns an error if another file has taken the name.
func (r *Replacement) stillThere(old *os.File) error {
	now, err := os.Stat(r.name)
	if err != nil {
		return err
	}
	was, err := old.Stat()
	if err == nil && !os.SameFile(now, was) {
		err = fmt.Errorf("%s has been replaced by another file", r.name)
	}
	return err
}

// Fill copies more of what a transaction shows, up to the given number of bytes and one value, and reports whether that was all.
func (r *Replacement) Fill(from *bbolt.Tx, most int) (done bool, err error) {
	err = r.DB.Update(func(to *bbolt.Tx) error {
		done = true
		return from.ForEach(func(name []byte, source *bbolt.Bucket) error {
			if bytes.Compare(name, r.bucket) < 0 || most <= 0 {
				return nil
			}
			if !bytes.Equal(name, r.bucket) {
				r.bucket, r.key = bytes.Clone(name), nil
			}
			target, err := to.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			target.FillPercent = 1
			c := source.Cursor()
			key, value := c.Seek(r.key)
			if r.key != nil && bytes.Equal(key, r.key) {
				key, value = c.Next()
			}
			for ; key != nil; key, value = c.Next() {
				if most <= 0 {
					done = false
					return nil
				}
				if err := put(target, key, value); err != nil {
					return err
				}
				most -= len(key) + len(value)
				r.key = append(r.key[:0:0], key...)
			}
			return nil
		})
	})
	if err == nil && done {
		done = !r.more(from)
	}
	return done, err
}

// more reports whether there are buckets behind the last one that was copied.
func (r *Replacement) more(from *bbolt.Tx) bool {
	key, _ := from.Cursor().Last()
	return bytes.Compare(key, r.bucket) > 0
}

func put(to *bbolt.Bucket, key, value []byte) error {
	if value == nil {
		return errors.New("it has nested buckets")
	}
	return to.Put(key, value)
}

// Sync makes the copied data durable. Nothing needs to wait for it.
func (r *Replacement) Sync() error { return r.File.Sync() }

// Replace copies what has changed since Fill, and puts the copy in the database's place. The transaction shows the database; nothing
// may write to it in the meantime. After a *[NotDurableError], the copy is in place, but a crash may bring the old database back.
func (r *Replacement) Replace(from *bbolt.Tx, old *os.File) error {
	r.DB.NoSync, r.DB.NoGrowSync = false, false
	late := maxLate
	err := r.DB.Update(func(to *bbolt.Tx) error {
		if err := to.ForEach(func(name []byte, _ *bbolt.Bucket) error {
			if from.Bucket(name) == nil {
				return fmt.Errorf("the bucket %q is gone", name)
			}
			return nil
		}); err != nil {
			return err
		}
		return from.ForEach(func(name []byte, source *bbolt.Bucket) error {
			target, err := to.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			if err := target.SetSequence(source.Sequence()); err != nil {
				return err
			}
			return align(target, source, &late)
		})
	})
	if err != nil {
		return err
	}
	if err := errors.Join(r.File.Sync(), r.stillThere(old)); err != nil {
		return err
	}
	if err := os.Rename(r.temp, r.name); err != nil {
		return err
	}
	r.temp = "" // the copy no longer has this name
	dir := filepath.Dir(r.name)
	if err := r.SyncDir(dir); err != nil {
		return &NotDurableError{dir, r.SyncDir, err}
	}
	return nil
}

// change is a change that makes a bucket equal to another.
type change struct {
	key, value []byte
	gone       bool
}

// changeSize is the least memory that a change takes.
const changeSize = 256

// align makes a bucket equal to another, unless that takes too much.
func align(target, source *bbolt.Bucket, most *int) error {
	var changes []change
	note := func(key, value []byte, gone bool) {
		changes = append(changes, change{bytes.Clone(key), value, gone}) // the source's values outlast the transaction
		*most -= changeSize + len(value)
	}
	t, s := target.Cursor(), source.Cursor()
	tk, tv := t.First()
	sk, sv := s.First()
	for (tk != nil || sk != nil) && *most > 0 {
		switch order := bytes.Compare(tk, sk); {
		case sk == nil || tk != nil && order < 0:
			note(tk, nil, true)
			tk, tv = t.Next()
		case tk == nil || order > 0:
			note(sk, sv, false)
			sk, sv = s.Next()
		default:
			if !bytes.Equal(tv, sv) {
				note(sk, sv, false)
			}
			tk, tv = t.Next()
			sk, sv = s.Next()
		}
	}
	if *most <= 0 {
		return errTooLate
	}
	for _, c := range changes {
		if c.gone {
			if err := target.Delete(c.key); err != nil {
				return err
			}
		} else if err := put(target, c.key, c.value); err != nil {
			return err
		}
	}
	return nil
}

// Discard removes a replacement that is not in place.
func (r *Replacement) Discard() error {
	var err error
	if r.DB != nil {
		err = r.DB.Close()
	}
	if r.temp != "" && r.File != nil {
		err = errors.Join(err, os.Remove(r.temp))
	}
	return err
}

// NotDurableError means that a file was renamed, but that this may not be durable.
type NotDurableError struct {
	dir  string
	sync func(dir string) error
	err  error
}

// Error names the directory and the cause.
func (e *NotDurableError) Error() string {
	return fmt.Sprintf("%s cannot be synced: %v", e.dir, e.err)
}

// Unwrap returns the cause.
func (e *NotDurableError) Unwrap() error { return e.err }

// Again tries to sync the directory again.
func (e *NotDurableError) Again() error {
	if err := e.sync(e.dir); err != nil {
		return &NotDurableError{e.dir, e.sync, err}
	}
	return nil
}

// removeLeftover removes what a crash left of a replacement. This process has locked the file.
func removeLeftover(target string) error {
	if err := os.Remove(target + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
