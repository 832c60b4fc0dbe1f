package storetest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
)

// Checkable is a store in a file that can find out in advance whether it could be opened.
type Checkable interface {
	CheckOpen(ctx context.Context) error
}

// CheckedBeforeItIsOpened wants a provisioned store to find out why its file could not be opened. release ends its configuration. The errors
// are those of its contract.
func CheckedBeforeItIsOpened(t *testing.T, s Checkable, path string, release func(), inUse, notOpen error) {
	t.Helper()
	if err := s.CheckOpen(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the check made the directory: %v", err)
	}
	db, _, err := boltfile.Open(path, slog.New(slog.DiscardHandler)) // as another process would
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CheckOpen(t.Context()); !errors.Is(err, inUse) {
		t.Errorf("while another process has the file: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("garbage ", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckOpen(t.Context()); err == nil || !strings.Contains(err.Error(), path+" is damaged or not a database") {
		t.Errorf("with garbage in the file: %v", err)
	}
	release()
	if err := s.CheckOpen(t.Context()); !errors.Is(err, notOpen) {
		t.Errorf("after its configuration is gone: %v", err)
	}
}
