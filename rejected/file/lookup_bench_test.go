package file

import (
	"fmt"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// BenchmarkLookup measures the lookup of a request with one device, by how many records there are: with more records, the CPU has to wait
// more often for its memory. The largest takes half a gigabyte, and is left out with -short.
func BenchmarkLookup(b *testing.B) {
	for _, records := range []int{1e3, 1e4, 1e5, 1e6, 1e7} {
		if testing.Short() && records > million {
			continue
		}
		b.Run(fmt.Sprint(records), func(b *testing.B) { benchmarkLookup(b, uint64(records)) })
	}
}

func benchmarkLookup(b *testing.B, records uint64) {
	x, perEntry := fillIndex(int(records))
	d := newDatabase(b.TempDir()+"/rejected.db", clock{after: func(time.Duration) <-chan time.Time { return nil }})
	if err := openAlone(b, d); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Destruct() })
	for i := range x {
		d.index.fill(i, x[i].marks)
	}
	for _, bb := range []struct {
		name string
		base uint64
		want bool
	}{{"hit", 0, true}, {"miss", records, false}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			keys, marks := make([]rejected.Key, 1), make([]rejected.Mark, 1)
			var n uint64
			for b.Loop() {
				n += 7919
				keys[0] = spread(bb.base + n%records)
				if err := d.lookup(b.Context(), keys, marks); err != nil {
					b.Fatal(err)
				}
				if found := marks[0] != (rejected.Mark{}); found != bb.want {
					b.Fatalf("found %v", found)
				}
			}
			b.ReportMetric(perEntry, "heap-B/entry")
		})
	}
}
