package service_test

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/reasontest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/service"
)

func TestEachReasonOfTheKitIsExplained(t *testing.T) {
	t.Parallel()
	reasontest.Explained(t, service.Explain, reasontest.In(t, ".", "../network").Words...)
	if means := service.Explain("nothing_like_it"); means != "" {
		t.Errorf("another reason is explained as %q", means)
	}
}
