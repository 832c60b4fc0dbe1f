package trial

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// has fails the test unless the directory has only the named entries.
func has(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	if strings.Join(found, " ") != strings.Join(names, " ") {
		t.Errorf("%s has %q, want %q", dir, found, names)
	}
}

func TestATrialLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, file := range []string{"x.db", "a/x.db", "a/b/c/x.db"} {
		if err := Create(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
	if err := Grow(dir); err != nil {
		t.Error(err)
	}
	has(t, dir)
}

func TestAFileThatCannotBeCreatedIsAnErrorThatNamesTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{filepath.Join(file, "x.db"), file + " is not a directory"},
		{filepath.Join(file, "below", "x.db"), "not a directory"},
		{"/proc/none/x.db", "the directory /proc/none cannot be created in /proc: "}, // even root cannot
		{"/proc/x.db", "no file can be created in /proc: "},
	} {
		if strings.HasPrefix(tt.path, "/proc") && runtime.GOOS != "linux" {
			continue
		}
		if err := Create(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "matrix-push-check") {
			t.Errorf("%s: %v, want %s", tt.path, err, tt.want)
		}
	}
	if err := Grow("/proc"); err != nil {
		t.Errorf("where no file can be created, it knows that none can grow: %v", err)
	}
	has(t, dir, "file")
}
