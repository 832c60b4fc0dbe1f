package telemetry

import (
	"sync"
	"testing"
)

func TestATableKeepsTheFirstValueOfEachKey(t *testing.T) {
	t.Parallel()
	const keys, each = 100, 4
	var numbers table[int, *int]
	var kept [each][keys]*int
	var all sync.WaitGroup
	for i := range each {
		all.Go(func() {
			for k := range keys {
				v, ok := numbers.find(k)
				if !ok {
					v = numbers.add(k, new(k))
				}
				kept[i][k] = v
			}
		})
	}
	all.Wait()
	if n := numbers.len(); n != keys {
		t.Errorf("there are %d values, want %d", n, keys)
	}
	for k := range keys {
		v, ok := numbers.find(k)
		if !ok || *v != k {
			t.Errorf("%d is %v", k, v)
		}
		for i := range each {
			if kept[i][k] != v {
				t.Errorf("%d was %p and is %p", k, kept[i][k], v)
			}
		}
	}
	if v, ok := numbers.find(keys); ok || v != nil {
		t.Errorf("%d is %v", keys, v)
	}
}
