package endpoint

import (
	"context"
	"errors"
	"sync"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
)

// One host gets at most this many requests at a time, and has at most this many waiting. The gateway sends no more of one app's itself: it
// knows whose turn it is.
const (
	hostRunning = limit.HostSlots
	hostWaiting = 192
)

// hosts bounds what goes on with each host. It remembers only hosts with which something does.
type hosts struct {
	mu sync.Mutex
	m  map[string]*host
}

type host struct {
	limit *limit.Limiter
	users int
}

// errInLine says that a request never had its turn with a host.
var errInLine = errors.New("too many requests to the host are under way")

// acquire waits for a turn with a host, until release is called.
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
