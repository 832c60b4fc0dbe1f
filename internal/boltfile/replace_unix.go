//go:build unix

package boltfile

import (
	"errors"
	"os"
	"syscall"
)

// liken gives a new file the mode and the owner of the file that it replaces. A file with several hard links is not replaced, because
// its other names would keep the old file forever.
func liken(file, old *os.File) error {
	is, err := file.Stat()
	if err != nil {
		return err
	}
	was, err := old.Stat()
	if err != nil {
		return err
	}
	if i, ok := is.Sys().(*syscall.Stat_t); ok {
		w, ok := was.Sys().(*syscall.Stat_t)
		if ok && w.Nlink > 1 {
			return errors.New("the file has several hard links")
		}
		if ok && (i.Uid != w.Uid || i.Gid != w.Gid) {
			if err := file.Chown(int(w.Uid), int(w.Gid)); err != nil {
				return err
			}
		}
	}
	if is.Mode().Perm() == was.Mode().Perm() {
		return nil
	}
	return file.Chmod(was.Mode().Perm())
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
