package file

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

const accepters = 256

// entriesPerSecond handles n entries in many goroutines.
func entriesPerSecond(b *testing.B, n int, do func(e outbox.Entry) error) float64 {
	b.Helper()
	push := bytes.Repeat([]byte{'x'}, 600)
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range accepters {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				e := outbox.Entry{
					ID: fmt.Sprint(i), App: app, Device: [16]byte{byte(i), byte(i >> 8)}, Event: [16]byte{15: 1, 0: byte(i)},
					EventUntil: start.Add(time.Hour), Push: push, Expires: start.Add(time.Hour),
				}
				if err := do(e); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(start).Seconds()
}

// BenchmarkAccept compares the outbox to one sync for each push.
func BenchmarkAccept(b *testing.B) {
	const alone = 200
	single := opened(b, &Box{Path: tempPath(b)})
	var seq atomic.Uint64
	baseline := entriesPerSecond(b, alone, func(e outbox.Entry) error {
		n := seq.Add(1)
		value, err := encode(n, &e)
		if err != nil {
			return err
		}
		return single.db.bolt.Update(func(tx *bbolt.Tx) error { return single.db.put(tx, single.db.writer, &arrival{e: &e, seq: n}, value) })
	})
	box := opened(b, &Box{Path: tempPath(b), MaxPerApp: 1 << 30, MaxPerDevice: 1 << 30, MaxSize: 1 << 40})
	b.ReportAllocs()
	b.ResetTimer()
	rate := entriesPerSecond(b, b.N, func(e outbox.Entry) error { return tryAccept(b.Context(), box, e) })
	b.StopTimer()
	b.ReportMetric(rate, "entries/s")
	b.ReportMetric(baseline, "entries/s-alone")
	b.ReportMetric(rate/baseline, "ratio")
}

// BenchmarkDepth measures accepting a push and settling it after its delivery, by how many pushes of other devices are pending.
func BenchmarkDepth(b *testing.B) {
	for _, waiting := range []int{0, 1e3, 1e4, 1e5} {
		if testing.Short() && waiting > 1e4 {
			continue
		}
		b.Run(fmt.Sprint(waiting), func(b *testing.B) {
			box := opened(b, &Box{Path: tempPath(b), MaxPerApp: 1 << 30, MaxPerDevice: 1 << 30, MaxSize: 1 << 40})
			before := inUse()
			entriesPerSecond(b, waiting, func(e outbox.Entry) error {
				e.ID, e.Device[15], e.App = "waits "+e.ID, 1, "org.example.waiting"
				return tryAccept(b.Context(), box, e)
			})
			held := inUse() - before
			b.ReportAllocs()
			b.ResetTimer()
			rate := entriesPerSecond(b, b.N, func(e outbox.Entry) error {
				if err := tryAccept(b.Context(), box, e); err != nil {
					return err
				}
				return box.Settle(b.Context(), e.Ref())
			})
			b.StopTimer()
			b.ReportMetric(rate, "entries/s")
			if waiting > 0 {
				b.ReportMetric(held/float64(waiting), "heap-B/entry")
			}
		})
	}
}

// inUse returns how much memory is in use.
func inUse() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkNote measures what remembering it costs a delivered push.
func BenchmarkNote(b *testing.B) {
	box := opened(b, &Box{Path: tempPath(b)})
	until := time.Now().Add(time.Hour)
	b.ReportAllocs()
	for n := 1; b.Loop(); n++ {
		box.Note([16]byte{}, [16]byte{byte(n), byte(n >> 8)}, until)
		if n%(maxNotes/2) == 0 { // notes above the bound would cost nothing
			b.StopTimer()
			e := entry("a", fmt.Sprint(n))
			accept(b, box, e)
			settle(b, box, e.Ref())
			b.StartTimer()
		}
	}
}
