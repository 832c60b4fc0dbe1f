package memory

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// BenchmarkLookup measures the lookup of a request with one device, by how many records there are.
func BenchmarkLookup(b *testing.B) {
	for _, records := range []int{1e3, 1e4, 1e5} { // the last is the default limit
		b.Run(fmt.Sprint(records), func(b *testing.B) { benchmarkLookup(b, records) })
	}
}

func benchmarkLookup(b *testing.B, records int) {
	t := newTable(time.Now)
	if err := t.open(&Store{MaxEntries: records, Expire: caddy.Duration(rejected.DefaultExpire)}); err != nil {
		b.Fatal(err)
	}
	all := make([]rejected.Key, 2*records)
	for n := range all {
		all[n] = key(n)
	}
	for _, k := range all[:records] {
		if err := t.reject(k, rejected.Verdict{Reason: "gone", PushkeyTS: 1000, At: time.Now()}); err != nil {
			b.Fatal(err)
		}
	}
	for _, bb := range []struct {
		name string
		keys []rejected.Key
		want bool
	}{{"hit", all[:records], true}, {"miss", all[records:], false}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			marks := make([]rejected.Mark, 1)
			n := 0
			for b.Loop() {
				n = (n + 7919) % records
				if err := t.lookup(bb.keys[n:n+1], marks); err != nil {
					b.Fatal(err)
				}
				if found := marks[0] != (rejected.Mark{}); found != bb.want {
					b.Fatalf("found %v", found)
				}
			}
		})
	}
}
