package redis

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/storetest"
)

// BenchmarkAcknowledge accepts pushes of many devices at the same time. What is confirmed at the same time shares one confirmation.
func BenchmarkAcknowledge(b *testing.B) {
	servers := redistest.StartSentinel(b, 1, []string{"--appendfsync", "always"})
	for _, want := range []redisclient.Acknowledge{{}, oneReplica, onDisk} {
		b.Run(want.String(), func(b *testing.B) {
			box := opened(b, &Box{Address: storetest.SentinelAddress(servers), Prefix: want.String(), Acknowledge: want, MaxPerApp: 1 << 30})
			var n atomic.Int64
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					id := fmt.Sprint(n.Add(1))
					accept(b, box, entry(id, id))
				}
			})
		})
	}
}
