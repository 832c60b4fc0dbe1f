package tenancy

import (
	"context"
	"errors"

	"github.com/caddyserver/caddy/v2"
)

var errGone = errors.New("nobody has a share")

// Hold begins an attempt. While there are attempts, they hold one share together. If nobody has a share any more, the resource is being
// closed, and the attempt is too late.
func (t *Tenancy) Hold(attempt string) {
	t.holding.Lock()
	defer t.holding.Unlock()
	if len(t.attempts) == 0 {
		if _, _, err := t.pool.LoadOrNew(t.key, func() (caddy.Destructor, error) { return nil, errGone }); err != nil {
			return
		}
	}
	t.attempts[attempt] = struct{}{}
}

// LetGo ends an attempt. The end of the last one releases the share, which may close the resource. LetGo waits for that until the context
// ends.
func (t *Tenancy) LetGo(ctx context.Context, attempt string) {
	if !t.end(attempt) {
		return
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = t.pool.Delete(t.key)
	}()
	select {
	case <-closed:
	case <-ctx.Done():
	}
}

// LetGoSoon is LetGo for callers that closing waits for.
func (t *Tenancy) LetGoSoon(attempt string) {
	if t.end(attempt) {
		go func() { _, _ = t.pool.Delete(t.key) }()
	}
}

// end forgets an attempt, and reports whether it was the last one.
func (t *Tenancy) end(attempt string) bool {
	t.holding.Lock()
	defer t.holding.Unlock()
	if _, ok := t.attempts[attempt]; !ok {
		return false
	}
	delete(t.attempts, attempt)
	return len(t.attempts) == 0
}

// LetAllGo ends all attempts, for tests that leave some open.
func (t *Tenancy) LetAllGo() {
	t.holding.Lock()
	defer t.holding.Unlock()
	if len(t.attempts) > 0 {
		clear(t.attempts)
		_, _ = t.pool.Delete(t.key)
	}
}
