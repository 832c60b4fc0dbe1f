package webpush

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
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
				for body := range bodies(bench.n, nil) { // the first fits
					if len(body) == 0 {
						b.Fatal("there is no body")
					}
					break
				}
			}
		})
	}
}

func BenchmarkParsePusher(b *testing.B) {
	sub := providertest.New(providertest.Options{}).Subscribe()
	sub.Endpoint = "https://push.example.org" + sub.Endpoint
	d := device(sub, "")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parsePusher(&d); err != nil {
			b.Fatal(err)
		}
	}
}
