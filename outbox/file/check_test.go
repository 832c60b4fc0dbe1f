package file

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

func TestBeforeItIsOpenedACheckFindsWhyItCouldNotBe(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := provision(t, &Box{Path: path})
	storetest.CheckedBeforeItIsOpened(t, s, path, func() { cleanup(t, s) }, outbox.ErrInUse, outbox.ErrNotOpen)
	if err := opened(t, &Box{Path: tempPath(t)}).CheckOpen(t.Context()); err != nil {
		t.Errorf("while it is open: %v", err)
	}
}
