package unifiedpush

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func BenchmarkBodies(b *testing.B) {
	for _, bench := range []struct {
		name string
		n    *providers.Notification
		d    providers.Device
	}{
		{"event_id_only", alert().Reduced(), elementX},
		{"full", received(alert()), elementX},
		{"badge", badge().Reduced(), elementX},
		{"event_id_only for FluffyChat", alert().Reduced(), fluffyChat("a")},
		{"full for FluffyChat", received(alert()), fluffyChat("a")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for body := range bodies(bench.n, bench.n.Members(), &bench.d, false) { // the first fits
					if len(body) == 0 {
						b.Fatal("there is no body")
					}
					break
				}
			}
		})
	}
}

// received returns a notification whose body is decoded as in the gateway.
func received(n *providers.Notification) *providers.Notification {
	n.DecodeBy(lenient.Members)
	return n
}

// BenchmarkUsable measures what the gateway does first for each device that it does not remember.
func BenchmarkUsable(b *testing.B) {
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	for name, d := range map[string]providers.Device{
		"clear": {Pushkey: "https://push.example.org/up/topic", Data: []byte(`{"url": "https://push.example.org/_matrix/push/v1/notify",
			"format": "event_id_only", "default_payload": {"cs": "AgEABcd"}}`)},
		"encrypted": {Pushkey: "https://push.example.org/up/topic", Data: data(sub, `{"p256dh": %q, "auth": %q}`)},
	} {
		b.Run(name, func(b *testing.B) {
			p := new(Provider)
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Usable(&d, providers.Site{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
