//go:build !unix

package boltfile

import (
	"errors"
	"os"
)

func liken(_, _ *os.File) error { return errors.ErrUnsupported }

func syncDir(string) error { return nil }
