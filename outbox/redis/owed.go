package redis

import (
	"context"
	"sync"

	"github.com/matrix-push/caddy-matrix-push/internal/redisclient"
	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// owed has the entries whose settling Redis did not confirm. This process no longer hands them out, and settles them when Redis works
// again.
type owed struct {
	mu      sync.Mutex
	entries map[outbox.Ref]struct{}
	room    int
}

func newOwed(shards int) owed {
	return owed{entries: make(map[outbox.Ref]struct{}), room: redisclient.Portion(maxNotes, shards)}
}

func (o *owed) add(r outbox.Ref) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.entries) < o.room {
		o.entries[r] = struct{}{}
	}
}

func (o *owed) remove(r outbox.Ref) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.entries, r)
}

func (o *owed) has(r outbox.Ref) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.entries[r]
	return ok
}

func (o *owed) all() (refs []outbox.Ref) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for r := range o.entries {
		refs = append(refs, r)
	}
	return refs
}

// settleOwed settles the owed entries, up to the first error.
func (s *shard) settleOwed(ctx context.Context) error {
	for _, r := range s.owed.all() {
		if err := s.settleOnce(ctx, r); err != nil {
			return err
		}
		s.owed.remove(r)
	}
	return nil
}
