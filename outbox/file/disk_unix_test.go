//go:build unix

package file

import (
	"fmt"
	"os"
	"os/exec"
	ossignal "os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestAFileThatMayNotGrow runs in a separate process whose files may not grow beyond a size, as on a full disk.
func TestAFileThatMayNotGrow(t *testing.T) {
	const variable = "OUTBOX_FILE_LIMITED"
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

	b := opened(t, &Box{Path: tempPath(t), MaxPerDevice: 1 << 20})
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	ossignal.Ignore(syscall.SIGXFSZ)
	setLimit(t, 1<<20, limit)
	var want []string
	accept := func() error {
		e := entry("a", fmt.Sprint(len(want)))
		e.Push = make([]byte, 50_000)
		_, err := b.Accept(t.Context(), e)
		if err == nil {
			want = append(want, e.ID)
		}
		return err
	}
	var err error
	for err == nil && len(want) < 1000 {
		err = accept()
	}
	for range 3 {
		if err = accept(); err == nil || !strings.Contains(err.Error(), b.Path) {
			t.Errorf("Accept: error %v, want one with the path", err)
		}
	}
	setLimit(t, limit.Cur, limit)
	for range 3 {
		if err := accept(); err != nil {
			t.Errorf("when there is space again: %v", err)
		}
	}
	cleanup(t, b)
	b = opened(t, &Box{Path: b.Path})
	if ids := drain(t, b); !slices.Equal(ids, want) {
		t.Errorf("the file has %q, want %q", ids, want)
	}
}

func setLimit(t *testing.T, size uint64, was syscall.Rlimit) {
	t.Helper()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
}
