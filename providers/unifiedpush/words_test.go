package unifiedpush

import (
	"fmt"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// answered pushes to a new endpoint with the given answer.
func answered(t *testing.T) func(*testing.T, func(string) providertest.Answer) providers.Outcome {
	t.Helper()
	service, p := bench(t)
	n := 0
	return func(t *testing.T, answer func(string) providertest.Answer) providers.Outcome {
		t.Helper()
		n++
		endpoint := service.Endpoint(fmt.Sprintf("upSecretTopic%d", n))
		service.Answer(endpoint, answer(endpoint))
		return p.Push(t.Context(), pushOf(alert(), providers.Device{Pushkey: endpoint}))
	}
}

func TestThePushServersOwnWordDecidesBeforeItsStatus(t *testing.T) {
	t.Parallel()
	messagetest.Words(t, "../../docs/unifiedpush.md", answered(t))
}

func TestABodyThatMeansHarmChangesAndShowsNothing(t *testing.T) {
	t.Parallel()
	messagetest.HostileBodies(t, answered(t))
}
