package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"
)

// unraced is this test binary without the race detector. It is built when a test first asks for it.
var unraced unracedBuild

type unracedBuild struct {
	once sync.Once
	dir  string
	err  error
}

// binary returns the built binary, or the running one if it has no race detector.
func (b *unracedBuild) binary(t *testing.T) string {
	t.Helper()
	if !raced() {
		return os.Args[0]
	}
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "e2e-unraced"); b.err != nil { //nolint:usetesting // it is for all tests
			return
		}
		if out, err := exec.Command("go", "test", "-c", "-o", filepath.Join(b.dir, "e2e.test"), ".").CombinedOutput(); err != nil {
			b.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if b.err != nil {
		t.Fatalf("the tests cannot be built without the race detector: %v", b.err)
	}
	return filepath.Join(b.dir, "e2e.test")
}

func (b *unracedBuild) remove() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

// raced reports whether this binary has the race detector.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}
