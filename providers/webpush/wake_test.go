package webpush

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestAWakeUpIsDeliveredAlsoToOneThatWantsOnlyEvents(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	sub := service.Subscribe()
	push := pushOf(p.Reduce(&providers.Notification{Wake: true}), device(sub, `, "events_only": true, "default_payload": {"account": "a"}`))
	want(t, p.Push(t.Context(), push), providers.KindDelivered, "delivered")
	if m := service.Messages(sub.Path); len(m) != 1 || string(m[0].Body) != `{"account":"a"}` || m[0].Urgency != "high" {
		t.Errorf("got %+v", m)
	}
}
