package unifiedpush

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestX30_AWakeUpWithoutIDsAndCountsIsDelivered(t *testing.T) {
	t.Parallel()
	service, p := bench(t)
	for _, tt := range []struct {
		n             providers.Notification
		body, urgency string
	}{
		{providers.Notification{Wake: true}, `{"notification":{"prio":"high"}}`, "high"},
		{providers.Notification{Wake: true, Prio: providers.PrioLow}, `{"notification":{"prio":"low"}}`, "low"},
	} {
		n := p.Reduce(tt.n.Reduced())
		plain, sub := service.Endpoint("topic-"+tt.urgency), service.Subscribe()
		for path, d := range map[string]providers.Device{
			plain:        {Pushkey: plain},
			sub.Endpoint: {Pushkey: sub.Endpoint, Data: data(sub, `{"p256dh": %q, "auth": %q}`)},
		} {
			want(t, p.Push(t.Context(), pushOf(n, d)), providers.KindDelivered, "delivered")
			m := service.Messages(path)
			if len(m) != 1 || string(m[0].Body) != tt.body || m[0].Urgency != tt.urgency || m[0].Topic != "" {
				t.Errorf("got %+v", m)
			}
		}
	}
}
