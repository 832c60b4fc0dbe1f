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
				if len(bodies(bench.n)) == 0 {
					b.Fatal("there is no body")
				}
			}
		})
	}
}
