// Package holds keeps what configurations share through a pool open for the attempts under way, whatever becomes of the configurations.
package holds

import (
	"context"
	"errors"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

var errGone = errors.New("nobody shares it")

// Holds has one share of a pool's value while there are attempts.
type Holds struct {
	pool *caddy.UsagePool
	key  any

	mu       sync.Mutex
	attempts map[string]struct{} // the IDs of their entries
}

// New returns the holds on the value that a pool has under a key.
func New(pool *caddy.UsagePool, key any) *Holds {
	return &Holds{pool: pool, key: key, attempts: make(map[string]struct{})}
}

// Hold is the beginning of an attempt. If nobody has a share any more, the value is being closed, and the attempt comes too late.
func (h *Holds) Hold(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.attempts) == 0 {
		if _, _, err := h.pool.LoadOrNew(h.key, func() (caddy.Destructor, error) { return nil, errGone }); err != nil {
			return
		}
	}
	h.attempts[id] = struct{}{}
}

// LetGo is the end of an attempt. The end of the last one gives the share back, which may close the value: LetGo waits for that until the
// context ends.
func (h *Holds) LetGo(ctx context.Context, id string) {
	if !h.end(id) {
		return
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = h.pool.Delete(h.key)
	}()
	select {
	case <-closed:
	case <-ctx.Done():
	}
}

// LetGoSoon is LetGo for those whom the closing waits for.
func (h *Holds) LetGoSoon(id string) {
	if h.end(id) {
		go func() { _, _ = h.pool.Delete(h.key) }()
	}
}

// end forgets an attempt, and reports whether it was the last one.
func (h *Holds) end(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.attempts[id]; !ok {
		return false
	}
	delete(h.attempts, id)
	return len(h.attempts) == 0
}

// LetAllGo ends all attempts, for tests that leave some.
func (h *Holds) LetAllGo() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.attempts) > 0 {
		clear(h.attempts)
		_, _ = h.pool.Delete(h.key)
	}
}
