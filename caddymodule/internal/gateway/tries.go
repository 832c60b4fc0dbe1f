package gateway

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// maxCounted bounds the names of pushes whose attempts are counted. A push has one or two names.
const maxCounted = 4096

// tries counts how many attempts in a row at a push ended with an outcome that has a [providers.Outcome.MaxTries]. The outbox's count
// does not help: it counts any failure, and there may be no outbox. A restart begins at zero. It is safe for concurrent use.
type tries struct {
	mu     sync.Mutex
	counts *simplelru.LRU[[16]byte, int]
}

func newTries() *tries {
	counts, err := simplelru.NewLRU[[16]byte, int](maxCounted, nil)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &tries{counts: counts}
}

// note counts an outcome of a push, and returns how many counted ones it has had in a row. An outcome that comes from the gateway's own
// limits changes nothing.
func (t *tries) note(f *flight, o providers.Outcome) (n int) {
	counts := o.Kind == providers.KindRetry && o.MaxTries > 0
	t.mu.Lock()
	defer t.mu.Unlock()
	if !counts && t.counts.Len() == 0 {
		return 0
	}
	switch names := f.names(); {
	case counts:
		for _, name := range names {
			had, _ := t.counts.Get(name)
			n = max(n, had+1)
		}
		for _, name := range names {
			t.counts.Add(name, n)
		}
	case o.Kind != providers.KindRetry || o.Cause != providers.CauseGateway:
		t.forget(names)
	}
	return n
}

func (t *tries) forget(names [][16]byte) {
	for _, name := range names {
		t.counts.Remove(name)
	}
}

// names returns the names under which later attempts find a push. The first is the outbox's ID. A push that a homeserver may send again
// also has its event, or its device if it has no event.
func (f *flight) names() [][16]byte {
	hash := sha256.Sum256([]byte(f.push.ID))
	names := [][16]byte{[16]byte(hash[:16])}
	switch {
	case f.leased:
	case f.event != (eventKey{}):
		names = append(names, f.event)
	default:
		names = append(names, f.key)
	}
	return names
}

// limitTries drops a push that got an outcome as often as the outcome allows.
func (g *Gateway) limitTries(f *flight, o providers.Outcome) providers.Outcome {
	n := g.Shared.tries.note(f, o)
	if n == 0 || n < o.MaxTries {
		return o
	}
	dropped := providers.Dropped(o.Reason, o.Err)
	dropped.Word = o.Word
	if dropped.Err == nil {
		dropped.Err = fmt.Errorf("%d attempts in a row ended like this", n)
	}
	g.Shared.tries.note(f, dropped)
	return dropped
}
