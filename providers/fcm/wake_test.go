package fcm

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestX30_AWakeUpWithoutIDsAndCountsIsDelivered(t *testing.T) {
	t.Parallel()
	const registered = `{"default_payload":{"account":"0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"}}` // as p2 sends it to Conversations
	for _, tt := range []struct {
		name, data, priority string
		n                    providers.Notification
		want                 map[string]string
	}{
		{
			"high", registered, "high",
			providers.Notification{Wake: true},
			map[string]string{"prio": "high", "account": "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"},
		},
		{"low", ``, "normal", providers.Notification{Wake: true, Prio: providers.PrioLow}, map[string]string{"prio": "normal"}},
		{
			"with a count", ``, "high",
			providers.Notification{Wake: true, Counts: providers.Counts{Unread: new(int64(3))}},
			map[string]string{"prio": "high", "unread": "3"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(*fcmtest.Service, *Provider) {})
			push := pushOf(b.Reduce(tt.n.Reduced()))
			push.Device.Data = json.RawMessage(tt.data)
			b.want(t, push, providers.KindDelivered, "delivered")
			m := b.sent(t)
			if !maps.Equal(m.Data, tt.want) || !strings.Contains(string(m.Raw), `"priority":"`+tt.priority+`"`) {
				t.Errorf("the message is %s", m.Raw)
			}
		})
	}
}

func TestANotificationOfNothingIsDropped(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(*fcmtest.Service, *Provider) {})
	b.want(t, pushOf(new(providers.Notification)), providers.KindDropped, "nothing_to_do")
	if n := len(b.Requests()); n != 0 {
		t.Errorf("FCM got %d requests", n)
	}
}
