package webpush

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// answered pushes to a new subscription whose endpoint gives the answer.
func answered(t *testing.T) func(*testing.T, func(string) providertest.Answer) providers.Outcome {
	t.Helper()
	service, p := bench(t)
	return func(t *testing.T, answer func(string) providertest.Answer) providers.Outcome {
		t.Helper()
		sub := service.SubscribeFor(p.sender.PublicKey())
		service.Answer(sub.Endpoint, answer(sub.Endpoint))
		return p.Push(t.Context(), pushOf(alert(), device(sub, "")))
	}
}

func TestThePushServicesOwnWordDecidesBeforeItsStatus(t *testing.T) {
	t.Parallel()
	messagetest.Words(t, "../../docs/webpush.md", answered(t))
}

func TestABodyThatMeansHarmChangesAndShowsNothing(t *testing.T) {
	t.Parallel()
	messagetest.HostileBodies(t, answered(t))
}
