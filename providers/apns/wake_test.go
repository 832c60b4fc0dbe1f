package apns

import (
	"encoding/json"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Siskin's notification extension decrypts a push, so it needs an alert. Without one, iOS delivers the push when it likes.
func TestAWakeUpShowsTheAlertOfTheDefaultPayload(t *testing.T) {
	t.Parallel()
	const (
		alert     = `"aps":{"alert":{"title":"New Message"},"mutable-content":1,"sound":"default"}`
		encrypted = `"encrypted":"Jx2X","iv":"TSc+"`
	)
	b := newBench(t, nil)
	for _, tt := range []struct {
		name, data, payload, pushType string
		prio                          providers.Priority
		priority                      int
	}{
		{"with an alert", `{"default_payload":{` + alert + `,` + encrypted + `}}`, `{` + alert + `,` + encrypted + `}`, "alert", providers.PrioHigh, 10},
		{"with an alert, low", `{"default_payload":{` + alert + `}}`, `{` + alert + `}`, "alert", providers.PrioLow, 5},
		{
			"without an alert", `{"default_payload":{` + encrypted + `}}`, `{"aps":{"content-available":1},` + encrypted + `}`,
			"background", providers.PrioHigh, 5,
		},
		{"without anything", ``, `{"aps":{"content-available":1}}`, "background", providers.PrioHigh, 5},
	} {
		push := pushAlert(tt.data)
		push.Notification = b.Reduce(&providers.Notification{Wake: true, Prio: tt.prio})
		b.want(t, push, providers.KindDelivered, "delivered")
		if got := b.last(t); string(got.Payload) != tt.payload || got.PushType != tt.pushType || got.Priority != tt.priority {
			t.Errorf("%s: got %s, a push of type %s and priority %d", tt.name, got.Payload, got.PushType, got.Priority)
		}
	}
}

func pushAlert(data string) *providers.Push {
	push := alert()
	push.Device.Data = json.RawMessage(data)
	return push
}
