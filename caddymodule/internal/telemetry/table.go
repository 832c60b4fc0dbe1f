package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
)

// table has values that are rarely added and never removed. It is safe for concurrent use, and finding a value takes no lock.
type table[K comparable, V any] struct {
	mu     sync.Mutex // of those who add
	values atomic.Pointer[map[K]V]
}

func (t *table[K, V]) all() map[K]V {
	if all := t.values.Load(); all != nil {
		return *all
	}
	return nil
}

func (t *table[K, V]) len() int { return len(t.all()) }

func (t *table[K, V]) find(k K) (V, bool) {
	v, ok := t.all()[k]
	return v, ok
}

// add adds a value unless there is one already, and returns the one that is there.
func (t *table[K, V]) add(k K, v V) V {
	t.mu.Lock()
	defer t.mu.Unlock()
	if there, ok := t.find(k); ok {
		return there
	}
	all := make(map[K]V, t.len()+1)
	maps.Copy(all, t.all())
	all[k] = v
	t.values.Store(&all)
	return v
}
