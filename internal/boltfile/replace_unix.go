//go:build unix

package boltfile

import (
	"errors"
	"os"
	"syscall"
)

// liken gives a new file the mode and the owner of the one whose place it takes. One that has a second name is not to be replaced: under
// that, it would stay as it is for good.
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
			return errors.New("the file has several names (hard links)")
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

// syncDir has on disk which names a directory has.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
