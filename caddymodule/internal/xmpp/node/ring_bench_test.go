package node

import "testing"

// BenchmarkOpen measures what a sealed node costs for each push.
func BenchmarkOpen(b *testing.B) {
	r, err := Open(b.Context(), new(memory), "bench")
	if err != nil {
		b.Fatal(err)
	}
	node, secret, err := r.Seal(b.Context(), registered(), domain)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Open(b.Context(), node, secret, domain); err != nil {
			b.Fatal(err)
		}
	}
}
