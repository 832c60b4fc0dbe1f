//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package boltfile

import "os"

// abandon closes a file that bbolt locked and mapped.
func abandon(f *os.File) {
	if f != nil {
		_ = f.Close()
	}
}
