package redis

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/benchtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// BenchmarkMemory measures the memory that Redis needs for each record of a dead pushkey. docs/scaling.md has the results.
func BenchmarkMemory(b *testing.B) {
	server := redistest.Start(b)
	store := opened(b, &Store{Address: at(server.URL + timeouts), now: time.Now})
	before := server.Memory(b)
	var next atomic.Int64
	benchtest.Run(b, func() error {
		var key rejected.Key
		binary.BigEndian.PutUint64(key[:], uint64(next.Add(1)))
		v := rejected.Verdict{App: "org.example.app", Reason: "unregistered", PushkeyTS: 1_772_366_400_123, At: time.Now()}
		return store.Reject(b.Context(), key, v)
	})
	b.ReportMetric(float64(server.Memory(b)-before)/float64(b.N), "server-B/op")
}
