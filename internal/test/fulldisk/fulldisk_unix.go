//go:build unix

// Package fulldisk lets tests run with a limit on the size of files, as on a full disk.
package fulldisk

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// OwnProcess runs a test in a separate process, which the variable marks. It reports whether this is that process.
func OwnProcess(t *testing.T, variable string) bool {
	t.Helper()
	if os.Getenv(variable) != "" {
		return true
	}
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), program, "-test.run", "^"+t.Name()+"$") //nolint:gosec // it is this program
	run.Env = append(os.Environ(), variable+"=yes")
	if output, err := run.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
	return false
}

// Limit limits the size of this process's files, as on a full disk, until the returned function is called.
func Limit(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	set := func(size uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: limit.Max}); err != nil {
			t.Fatal(err)
		}
	}
	set(size)
	return func() { set(limit.Cur) }
}
