package redis

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// BenchmarkMemory measures the memory that Redis needs for each record of a dead pushkey. docs/scaling.md has the results.
func BenchmarkMemory(b *testing.B) {
	server := redistest.Start(b, "--appendfsync", "no")
	store := opened(b, &Store{URL: server.URL, now: time.Now})
	before := server.Memory(b)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				var key rejected.Key
				binary.BigEndian.PutUint64(key[:], uint64(i))
				v := rejected.Verdict{App: "org.example.app", Reason: "unregistered", PushkeyTS: 1_772_366_400_123, At: time.Now()}
				if err := store.Reject(b.Context(), key, v); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(server.Memory(b)-before)/float64(b.N), "server-B/op")
}
