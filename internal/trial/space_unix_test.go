//go:build unix

package trial

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAFullDiskIsFound runs in a separate process whose files may not become as large as a trial, as on a full disk.
func TestAFullDiskIsFound(t *testing.T) {
	const variable = "TRIAL_LIMITED"
	if os.Getenv(variable) == "" {
		t.Parallel()
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		run := exec.CommandContext(t.Context(), program, "-test.run", "^"+t.Name()+"$")
		run.Env = append(os.Environ(), variable+"=yes")
		if output, err := run.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, output)
		}
		return
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1000, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, err := range map[string]error{"Create": Create(filepath.Join(dir, "a", "x.db")), "Grow": Grow(dir)} {
		if err == nil || !strings.HasPrefix(err.Error(), "nothing can be written in "+dir+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	has(t, dir)
}
