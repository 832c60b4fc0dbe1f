package file

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// expectRoll compares a roll to the entries that it should have.
func expectRoll(t *testing.T, r *roll, want map[uint64]*item, start time.Time) {
	t.Helper()
	var seqs []uint64
	first := start.Add(time.Hour)
	for seq, it := range want {
		seqs = append(seqs, seq)
		if it.expires.Before(first) {
			first = it.expires
		}
	}
	slices.Sort(seqs)
	var got []uint64
	for after, more := uint64(0), true; more; {
		var items []*item
		items, more = r.after(after, 3)
		for _, it := range items {
			got = append(got, it.seq)
			after = it.seq
		}
	}
	if !slices.Equal(got, seqs) {
		t.Fatalf("it has %d, want %d", got, seqs)
	}
	if len(r.expiry) != len(want) || len(want) > 0 && !r.expiry[0].expires.Equal(first) {
		t.Fatalf("of %d, the first does not expire at %v", len(r.expiry), first)
	}
	if len(r.slots) > 2*len(want) {
		t.Fatalf("%d slots for %d entries", len(r.slots), len(want))
	}
}

func TestTheRollKeepsBothOrdersWhateverComesAndGoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		start := time.Now()
		var r roll
		on := make(map[uint64]*item)
		var off []*item
		for seq := uint64(2); seq < 200; seq++ {
			it := &item{seq: seq ^ 1, expires: start.Add(time.Duration(random.IntN(50)) * time.Second)} // a later one may come first
			r.add(it)
			on[it.seq] = it
			for _, gone := range on {
				if random.IntN(20) > 0 {
					continue
				}
				r.remove(gone)
				delete(on, gone.seq)
				off = append(off, gone)
			}
			if n := len(off); n > 0 && random.IntN(5) == 0 { // it could not be removed
				r.add(off[n-1])
				on[off[n-1].seq] = off[n-1]
				off = off[:n-1]
			}
			expectRoll(t, &r, on, start)
		}
		for _, it := range on {
			r.remove(it)
			delete(on, it.seq)
			expectRoll(t, &r, on, start)
		}
	}
}
