package unifiedpush

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

func BenchmarkBodies(b *testing.B) {
	for _, bench := range []struct {
		name string
		n    *providers.Notification
	}{{"event_id_only", alert().Reduced()}, {"full", alert()}, {"badge", badge().Reduced()}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for body := range bodies(bench.n) { // the first fits
					if len(body) == 0 {
						b.Fatal("there is no body")
					}
					break
				}
			}
		})
	}
}
