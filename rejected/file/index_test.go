package file

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const million = 1_000_000

// spread returns the nth of any number of keys that are as uniform as hashes.
func spread(n uint64) (k rejected.Key) {
	for i := range 2 { // SplitMix64
		z := (2*n + uint64(i) + 1) * 0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		binary.LittleEndian.PutUint64(k[8*i:], z^z>>31)
	}
	return k
}

// fillIndex returns an index, and the bytes of heap that an entry takes.
func fillIndex(entries int) (x *index, perEntry float64) {
	before := heap()
	x = new(index)
	for n := range entries {
		x.raise(spread(uint64(n)), rejected.Mark{Condemned: uint32(n), ProbeAt: 1})
	}
	return x, float64(heap()-before) / float64(entries)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The test is not parallel: it measures the heap of the process.
func TestAMillionEntriesTakeAtMost64BytesEach(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a million entries")
	}
	x, perEntry := fillIndex(million)
	t.Logf("%.1f bytes an entry", perEntry)
	if perEntry > 64 {
		t.Errorf("%.1f bytes an entry, want at most 64", perEntry)
	}
	if n := x.len(); n != million {
		t.Errorf("%d entries", n)
	}
}

func BenchmarkRejectParallel(b *testing.B) {
	d := newDatabase(b.TempDir()+"/rejected.db", clock{})
	if err := openAlone(b, d); err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for n := uint64(time.Now().UnixNano()); pb.Next(); n++ {
			if err := d.reject(b.Context(), spread(n), rejected.Verdict{Reason: "gone", At: time.Now()}); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	if err := d.Destruct(); err != nil {
		b.Error(err)
	}
}
