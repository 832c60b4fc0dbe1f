package file

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/boltfile"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestBeforeItIsOpenedACheckFindsWhyItCouldNotBe(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := provision(t, &Store{Path: path})
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
	if err := s.CheckOpen(t.Context()); !errors.Is(err, rejected.ErrInUse) {
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
	cleanup(t, s)
	if err := s.CheckOpen(t.Context()); !errors.Is(err, rejected.ErrNotOpen) {
		t.Errorf("after its configuration is gone: %v", err)
	}
	if err := opened(t, &Store{Path: tempPath(t)}).CheckOpen(t.Context()); err != nil {
		t.Errorf("while it is open: %v", err)
	}
}
