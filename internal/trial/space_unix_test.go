//go:build unix

package trial

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fulldisk"
)

// TestAFullDiskIsFound runs in a separate process whose files may not become as large as a trial, as on a full disk.
func TestAFullDiskIsFound(t *testing.T) {
	if !fulldisk.OwnProcess(t, "TRIAL_LIMITED") {
		return
	}
	fulldisk.Limit(t, 1000)
	dir := t.TempDir()
	for name, err := range map[string]error{"Create": Create(filepath.Join(dir, "a", "x.db")), "Grow": Grow(dir)} {
		if err == nil || !strings.HasPrefix(err.Error(), "nothing can be written in "+dir+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	has(t, dir)
}
