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

// suffix is that of a replacement's name until it takes its place. Nobody else has files of this name.
const suffix = ".compact"

// maxLate bounds how much of a replacement is written while everybody waits.
const maxLate = 16 << 20

var errTooLate = errors.New("too much has changed meanwhile")

// CanReplace reports whether the system replaces files that are open.
const CanReplace = runtime.GOOS != "windows"

// Replacement is a copy of a database without its free pages, to take its place while the database is in use. It is as durable as the
// database at each step: a crash before [Replacement.Replace] has renamed it leaves the database, and one after that the copy, which
// has all that the database had. What a crash leaves of one is removed when the database is opened.
//
// Keys are copied in their order, a few at a time. What has changed since then is found by comparing the two.
type Replacement struct {
	DB   *bbolt.DB
	File *os.File
	// SyncDir has on disk which names a directory has; that of the system, but for tests.
	SyncDir func(dir string) error

	name, temp  string
	bucket, key []byte // the last one that was copied
}

// NewReplacement makes one for the database that was opened at a path.
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
			r.File, err = os.OpenFile(name, flag|os.O_EXCL, perm) // not what a link leads to
			return r.File, err
		},
	})
	if err == nil {
		if err = liken(r.File, old); err == nil {
			err = syncDir(filepath.Dir(target)) // or it could not be done later, when it has to
		}
	}
	if err != nil {
		return nil, errors.Join(err, r.Discard())
	}
	return r, nil
}

// stillThere reports an error if the name is another file's by now.
func (r *Replacement) stillThere(old *os.File) error {
	now, err := os.Stat(r.name)
	if err != nil {
		return err
	}
	was, err := old.Stat()
	if err == nil && !os.SameFile(now, was) {
		err = fmt.Errorf("%s is another file by now", r.name)
	}
	return err
}

// Fill copies some more of what a transaction shows, as much as the given bytes and one value, and reports whether that was all.
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
		return errors.New("it has buckets in buckets")
	}
	return to.Put(key, value)
}

// Sync has on disk what was copied. Nobody needs to wait for it.
func (r *Replacement) Sync() error { return r.File.Sync() }

// Replace copies what has changed since it was filled, and takes the place of the database, which a transaction shows. Nobody writes
// meanwhile. After an error that is a *[NotDurableError], it has taken the place, but a crash may bring the other one back.
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
	r.temp = "" // it is no more
	dir := filepath.Dir(r.name)
	if err := r.SyncDir(dir); err != nil {
		return &NotDurableError{dir, r.SyncDir, err}
	}
	return nil
}

// change is one that makes a bucket like another.
type change struct {
	key, value []byte
	gone       bool
}

// changeSize is what one takes at least.
const changeSize = 256

// align makes a bucket like another, unless that takes too much.
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

// Discard removes a replacement that has not taken the place.
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

// NotDurableError says that a file has another name, and that this may not be on disk.
type NotDurableError struct {
	dir  string
	sync func(dir string) error
	err  error
}

// Error names the folder and what went wrong.
func (e *NotDurableError) Error() string {
	return fmt.Sprintf("%s cannot be synced: %v", e.dir, e.err)
}

// Unwrap returns what went wrong.
func (e *NotDurableError) Unwrap() error { return e.err }

// Again tries once more.
func (e *NotDurableError) Again() error {
	if err := e.sync(e.dir); err != nil {
		return &NotDurableError{e.dir, e.sync, err}
	}
	return nil
}

// removeLeftover removes what a crash left of the replacement of a file, which this process has locked.
func removeLeftover(target string) error {
	if err := os.Remove(target + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
