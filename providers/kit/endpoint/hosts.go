package endpoint

import (
	"context"
	"errors"
	"sync"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
)

// At most this many requests run at a time for one host, and at most this many wait. The gateway itself sends no more of one app's: it
// knows whose turn it is.
const (
	hostRunning = limit.HostSlots
	hostWaiting = 192
)

// hosts limits the requests to each host. It remembers only hosts with requests under way.
type hosts struct {
	mu sync.Mutex
	m  map[string]*host
}

type host struct {
	limit *limit.Limiter
	users int
}

// errInLine means that a request did not get its turn with a host in time.
var errInLine = errors.New("too many requests to the host are under way")

// acquire waits for a turn with a host. The turn lasts until release is called.
func (h *hosts) acquire(ctx context.Context, name string) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	if h.m == nil {
		h.m = make(map[string]*host)
	}
	entry, ok := h.m[name]
	if !ok {
		entry = &host{limit: limit.New(hostRunning, hostWaiting)}
		h.m[name] = entry
	}
	entry.users++
	h.mu.Unlock()

	if err := entry.limit.Acquire(ctx); err != nil {
		h.leave(name, entry)
		return nil, errInLine
	}
	return func() {
		entry.limit.Release()
		h.leave(name, entry)
	}, nil
}

func (h *hosts) leave(name string, entry *host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if entry.users--; entry.users == 0 {
		delete(h.m, name)
	}
}
