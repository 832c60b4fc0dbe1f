package webpush

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/readonce"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func BenchmarkBodies(b *testing.B) {
	for _, bench := range []struct {
		name string
		n    *providers.Notification
	}{{"event_id_only", alert().Reduced()}, {"full", alert()}, {"badge", badge()}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for body := range bodies(bench.n, nil, whole(bench.n, nil)) { // the first fits
					if len(body) == 0 {
						b.Fatal("there is no body")
					}
					break
				}
			}
		})
	}
}

// BenchmarkUsable measures what the gateway does first for each device that it does not remember.
func BenchmarkUsable(b *testing.B) {
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	sub.Endpoint = "https://push.example.org" + sub.Endpoint
	for name, d := range map[string]providers.Device{
		"auth_and_endpoint": device(sub, ""),
		"default_payload":   device(sub, `, "events_only": true, "default_payload": {"client": "x", "session": {"id": 1}}`),
		"PushSubscription":  subscriber{sub.Endpoint, sub.P256dh, sub.Auth}.devices()[1],
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

func BenchmarkHost(b *testing.B) {
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	sub.Endpoint = "https://push.example.org" + sub.Endpoint
	d, p := device(sub, ""), new(Provider)
	b.ReportAllocs()
	for b.Loop() {
		if p.Host(&d) == "" {
			b.Fatal("there is no host")
		}
	}
}

// BenchmarkTarget measures how the gateway distinguishes devices with the same pushkey.
func BenchmarkTarget(b *testing.B) {
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	sub.Endpoint = "https://push.example.org" + sub.Endpoint
	for name, d := range map[string]providers.Device{
		"auth_and_endpoint": device(sub, ""),
		"default_payload":   device(sub, `, "events_only": true, "default_payload": {"client": "x", "session": {"id": 1}}`),
		"PushSubscription":  subscriber{sub.Endpoint, sub.P256dh, sub.Auth}.devices()[1],
	} {
		b.Run(name, func(b *testing.B) {
			p := new(Provider)
			b.ReportAllocs()
			for b.Loop() {
				p.Target(&d)
			}
		})
	}
}

// BenchmarkKnown measures all that the gateway asks about a device that it remembers, before it makes the message.
func BenchmarkKnown(b *testing.B) {
	devices, err := readonce.New[*pusher]()
	if err != nil {
		b.Fatal(err)
	}
	sub := providertest.NewPushService(providertest.PushServiceOptions{}).Subscribe()
	sub.Endpoint = "https://push.example.org" + sub.Endpoint
	d, p := device(sub, ""), &Provider{known: devices}
	b.ReportAllocs()
	for b.Loop() {
		p.Target(&d)
		if err := p.Usable(&d, providers.Site{}); err != nil || p.Host(&d) == "" {
			b.Fatal(err)
		}
		_, _ = p.known.Get(&d, parsePusher)
	}
}
