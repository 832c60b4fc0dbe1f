//go:build unix

package file

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fulldisk"
)

// TestAFileThatMayNotGrow runs in a separate process whose files may not grow beyond a size, as on a full disk.
func TestAFileThatMayNotGrow(t *testing.T) {
	if !fulldisk.OwnProcess(t, "OUTBOX_FILE_LIMITED") {
		return
	}

	b := opened(t, &Box{Path: tempPath(t), MaxPerDevice: 1 << 20})
	lift := fulldisk.Limit(t, 1<<20)
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
	lift()
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
