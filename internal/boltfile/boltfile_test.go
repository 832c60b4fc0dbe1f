package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/bbolt"
)

var bucket = []byte("bucket")

// opened opens a database.
func opened(t *testing.T, path string) (*bbolt.DB, *os.File) {
	t.Helper()
	db, file, err := Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, file
}

func update(t *testing.T, db *bbolt.DB, fn func(b *bbolt.Bucket) error) {
	t.Helper()
	if err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucket)
		if err != nil {
			return err
		}
		return fn(b)
	}); err != nil {
		t.Fatal(err)
	}
}

const value = "SECRET"

func put1000(t *testing.T, db *bbolt.DB) {
	t.Helper()
	update(t, db, func(b *bbolt.Bucket) error {
		for n := range 1000 {
			if err := b.Put(fmt.Append(nil, n), bytes.Repeat([]byte(value), 100)); err != nil {
				return err
			}
		}
		return nil
	})
}

func deleteAll(t *testing.T, db *bbolt.DB) {
	t.Helper()
	update(t, db, func(b *bbolt.Bucket) error {
		c := b.Cursor()
		for key, _ := c.First(); key != nil; key, _ = c.Next() {
			if err := c.Delete(); err != nil {
				return err
			}
		}
		return nil
	})
}

func wipeAll(t *testing.T, db *bbolt.DB, file *os.File, readers sync.Locker) *Wiper {
	t.Helper()
	var w Wiper
	for from, more := 0, true; more; more = from > 0 {
		var err error
		if from, err = w.Step(db, file, readers, from); err != nil {
			t.Fatal(err)
		}
	}
	return &w
}

func secrets(t *testing.T, path string) int {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(content, []byte(value))
}

func TestWipingLeavesWhatIsInUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db, file := opened(t, path)
	put1000(t, db)
	update(t, db, func(b *bbolt.Bucket) error { return b.Put([]byte("0"), []byte("stays")) })
	var none sync.Mutex
	wipeAll(t, db, file, &none)
	if n := secrets(t, path); n != 999*100 {
		t.Errorf("of 99,900, %d are left", n)
	}
	update(t, db, func(b *bbolt.Bucket) error {
		for n := 1; n < 1000; n++ {
			if err := b.Delete(fmt.Append(nil, n)); err != nil {
				return err
			}
		}
		return nil
	})
	before := secrets(t, path)
	w := wipeAll(t, db, file, &none)
	if n := secrets(t, path); n != 0 || before == 0 || w.Wiped == 0 {
		t.Errorf("%d of %d are left, %d pages were wiped", n, before, w.Wiped)
	}
	if w := wipeAll(t, db, file, &none); w.Wiped != 0 {
		t.Errorf("%d pages were wiped again", w.Wiped)
	}
	put1000(t, db) // into the pages that were wiped
	for err := range check(db) {
		t.Error(err)
	}
}

// check returns the faults of a database.
func check(db *bbolt.DB) <-chan error {
	errs := make(chan error, 100)
	_ = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			select {
			case errs <- err:
			default:
			}
		}
		close(errs)
		return nil
	})
	return errs
}

// endsReader is a readers' lock that one reader still holds.
type endsReader struct {
	t      *testing.T
	tx     *bbolt.Tx
	locked bool
}

func (l *endsReader) Lock() {
	if got := l.tx.Bucket(bucket).Get([]byte("7")); !bytes.HasPrefix(got, []byte(value)) {
		l.t.Errorf("a reader sees %q", got)
	}
	l.locked = true
	if err := l.tx.Rollback(); err != nil {
		l.t.Error(err)
	}
}

func (l *endsReader) Unlock() { l.locked = false }

// bbolt calls pages free that were removed, even if a reader still sees them.
func TestWipingWaitsForReaders(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db, file := opened(t, path)
	put1000(t, db)
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	deleteAll(t, db)
	var w Wiper
	lock := &endsReader{t: t, tx: tx}
	if _, err := w.Step(db, file, lock, 0); err != nil || lock.locked {
		t.Fatal(err, lock.locked)
	}
	var none sync.Mutex
	if wipeAll(t, db, file, &none); w.Wiped == 0 || secrets(t, path) != 0 {
		t.Errorf("%d pages were wiped at first, and %d secrets are left", w.Wiped, secrets(t, path))
	}
}

func TestWhatACrashCutOffIsWiped(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db, file := opened(t, path)
	update(t, db, func(b *bbolt.Bucket) error { return b.Put([]byte("a"), []byte("b")) })
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	// A transaction that wrote pages behind the last one in use, and did not end.
	if _, err := file.WriteAt(bytes.Repeat([]byte(value), 100), info.Size()-int64(os.Getpagesize())+17); err != nil {
		t.Fatal(err)
	}
	var none sync.Mutex
	if wipeAll(t, db, file, &none); secrets(t, path) != 0 {
		t.Errorf("%d secrets are left", secrets(t, path))
	}
}

// filled returns a replacement that has everything that a database has.
func filled(t *testing.T, path string, db *bbolt.DB, file *os.File) *Replacement {
	t.Helper()
	r, err := NewReplacement(path, file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Discard() })
	for done := false; !done; {
		if err := db.View(func(tx *bbolt.Tx) error {
			var err error
			done, err = r.Fill(tx, 10_000)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func replace(db *bbolt.DB, file *os.File, r *Replacement) error {
	return db.View(func(tx *bbolt.Tx) error { return r.Replace(tx, file) })
}

// dump returns everything that a database has.
func dump(t *testing.T, db *bbolt.DB) string {
	t.Helper()
	var s strings.Builder
	if err := db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			fmt.Fprintf(&s, "%s %d\n", name, b.Sequence())
			return b.ForEach(func(key, value []byte) error {
				fmt.Fprintf(&s, "%q %q\n", key, value)
				return nil
			})
		})
	}); err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func TestAReplacementHasAllThatHasChangedMeanwhile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db, file := opened(t, path)
	put1000(t, db)
	other := func(name string) func(tx *bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(name))
			if err != nil {
				return err
			}
			return errors.Join(b.Put([]byte("1"), nil), b.SetSequence(77))
		}
	}
	if err := errors.Join(db.Update(other("another")), db.Update(other("zero"))); err != nil {
		t.Fatal(err)
	}
	r := filled(t, path, db, file)
	update(t, db, func(b *bbolt.Bucket) error {
		return errors.Join(b.Delete([]byte("0")), b.Delete([]byte("5")), b.Delete([]byte("999")), b.Put([]byte("7"), []byte("changed")),
			b.Put([]byte("!"), []byte("first")), b.Put([]byte("500a"), []byte("between")), b.Put([]byte("~"), []byte("last")), b.SetSequence(5))
	})
	if err := db.Update(other("new")); err != nil {
		t.Fatal(err)
	}
	want := dump(t, db)
	if err := replace(db, file, r); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, r.DB); got != want {
		t.Errorf("the replacement has %d bytes, want %d", len(got), len(want))
	}
	if err := errors.Join(db.Close(), r.DB.Close()); err != nil {
		t.Fatal(err)
	}
	db, _ = opened(t, path)
	if got := dump(t, db); got != want {
		t.Errorf("the file has %d bytes, want %d", len(got), len(want))
	}
	for err := range check(db) {
		t.Error(err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("there are %v, %v", names, err)
	}
}

func TestAReplacementIsGivenUpWhenTooMuchHasChanged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db, file := opened(t, path)
	put1000(t, db)
	r := filled(t, path, db, file)
	update(t, db, func(b *bbolt.Bucket) error { return b.Put([]byte("a"), make([]byte, maxLate)) })
	if err := replace(db, file, r); !errors.Is(err, errTooLate) {
		t.Errorf("error %v", err)
	}
	if err := r.Discard(); err != nil {
		t.Error(err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("there are %v, %v", names, err)
	}
}

// On a full disk, for example.
func TestAReplacementThatCannotBeWrittenLeavesTheFileAsItIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db, file := opened(t, path)
	put1000(t, db)
	r, err := NewReplacement(path, file)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.File.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Guard(path, func() error {
		return db.View(func(tx *bbolt.Tx) error { _, err := r.Fill(tx, 1<<20); return err })
	}); err == nil {
		t.Error("it was filled")
	}
	_ = r.Discard() // its file is already closed
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("there are %v, %v", names, err)
	}
	if n := secrets(t, path); n != 100_000 {
		t.Errorf("%d are left", n)
	}
}

// Somebody put a link where the copy goes: nothing is written to its target.
func TestAReplacementFollowsNoLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, elsewhere := filepath.Join(dir, "x.db"), filepath.Join(dir, "elsewhere")
	db, file := opened(t, path)
	put1000(t, db)
	if err := os.Symlink(elsewhere, path+suffix); err != nil {
		t.Fatal(err)
	}
	r := filled(t, path, db, file)
	if err := replace(db, file, r); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(elsewhere); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file where the link led: %v", err)
	}
}

func TestWhatACrashLeftOfAReplacementIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "x.db"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(path+suffix, []byte(value), 0o600), os.Symlink(path, link)); err != nil {
		t.Fatal(err)
	}
	opened(t, path)
	if _, err := os.Stat(path + suffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// A process that waited for the lock of a file that was replaced in the meantime would write to a file that nobody reads again.
func TestAFileThatWasReplacedIsNotOpened(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db, file := opened(t, path)
	put1000(t, db)
	waiting, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = waiting.Close() }()
	if moved(path, waiting) {
		t.Error("it is another file at first")
	}
	if err := replace(db, file, filled(t, path, db, file)); err != nil {
		t.Fatal(err)
	}
	if !moved(path, waiting) {
		t.Error("it is not noticed")
	}
	if err := os.Remove(path); err != nil || !moved(path, waiting) {
		t.Errorf("it is not noticed that it is gone: %v", err)
	}
}

func TestWhoWaitsForAFileThatIsReplacedGetsTheNewOne(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("it takes /proc to see who has opened a file")
	}
	path := filepath.Join(t.TempDir(), "x.db")
	db, file := opened(t, path)
	put1000(t, db)
	type result struct {
		db  *bbolt.DB
		err error
	}
	second := make(chan result)
	go func() {
		db, _, err := Open(path, slog.New(slog.DiscardHandler))
		second <- result{db, err}
	}()
	for opened := 0; opened < 2; opened = openOf(t, path) { // it waits for the lock
	}
	r := filled(t, path, db, file)
	update(t, db, func(b *bbolt.Bucket) error { return b.Put([]byte("late"), []byte("x")) })
	want := dump(t, db)
	if err := errors.Join(replace(db, file, r), db.Close(), r.DB.Close()); err != nil {
		t.Fatal(err)
	}
	got := <-second
	if got.err != nil {
		t.Fatal(got.err)
	}
	update(t, got.db, func(b *bbolt.Bucket) error { return b.Put([]byte("later"), []byte("y")) })
	if err := got.db.Close(); err != nil {
		t.Fatal(err)
	}
	db, _ = opened(t, path)
	if has := dump(t, db); len(has) <= len(want) {
		t.Error("what was written last is in no file")
	}
}

// openOf returns how often this process has a file open.
func openOf(t *testing.T, path string) (n int) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == path {
			n++
		}
	}
	return n
}

func TestADatabaseFileThatOthersCanUseGetsAWarning(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		mode     os.FileMode // 0 for a new file
		link     bool
		warnings int
	}{
		{"a new file", 0, false, 0},
		{"a file that only the owner can use", 0o600, false, 0},
		{"a file of the group's", 0o640, false, 1},
		{"a file that everybody can read", 0o644, false, 1},
		{"a file that everybody can write", 0o602, false, 1},
		{"a file behind a link", 0o666, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.db")
			if tt.mode != 0 {
				if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, tt.mode)); err != nil {
					t.Fatal(err)
				}
			}
			name := path
			if tt.link {
				name += ".link"
				if err := os.Symlink(path, name); err != nil {
					t.Fatal(err)
				}
			}
			var log bytes.Buffer
			db, _, err := Open(name, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			if n := strings.Count(log.String(), "level=WARN"); n != tt.warnings || n > 0 && !strings.Contains(log.String(), name) {
				t.Errorf("logged %s", log.String())
			}
			info, err := os.Stat(path)
			if want := max(tt.mode, 0o600); err != nil || info.Mode().Perm() != want {
				t.Errorf("its mode is %v, %v", info.Mode(), err)
			}
		})
	}
}
