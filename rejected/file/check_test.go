package file

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestBeforeItIsOpenedACheckFindsWhyItCouldNotBe(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := provision(t, &Store{Path: path})
	storetest.CheckedBeforeItIsOpened(t, s, path, func() { cleanup(t, s) }, rejected.ErrInUse, rejected.ErrNotOpen)
	if err := opened(t, &Store{Path: tempPath(t)}).CheckOpen(t.Context()); err != nil {
		t.Errorf("while it is open: %v", err)
	}
}
