package endpoint

import (
	"context"
	"errors"
	"sync"
	"time"

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
	lead  *lead
}

// lead is the first request to a host to which no other request is under way. The others wait until it has a connection: with HTTP/2,
// they share it. Otherwise, net/http would dial for each of them.
type lead struct {
	once sync.Once
	over chan struct{} // closed when the others may go on
}

// leadTimeout is how long the other requests wait for the first one's connection.
const leadTimeout = 3 * time.Second

func (l *lead) end() { l.once.Do(func() { close(l.over) }) }

// wait waits until the others may go on.
func (l *lead) wait(ctx context.Context) error {
	select {
	case <-l.over:
		return nil
	default:
	}
	late := time.NewTimer(leadTimeout)
	defer late.Stop()
	select {
	case <-l.over:
	case <-late.C:
		l.end()
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// errInLine means that a request did not get its turn with a host in time.
var errInLine = errors.New("too many requests to the host are under way")

// acquire waits for a turn with a host. The turn lasts until release is called. connected must be called when the request has a
// connection; it is nil if nobody waits for that.
func (h *hosts) acquire(ctx context.Context, name string) (release, connected func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	h.mu.Lock()
	if h.m == nil {
		h.m = make(map[string]*host)
	}
	entry, led := h.m[name]
	if !led {
		entry = &host{limit: limit.New(hostRunning, hostWaiting), lead: &lead{over: make(chan struct{})}}
		h.m[name] = entry
	}
	entry.users++
	h.mu.Unlock()

	if err := entry.limit.Acquire(ctx); err != nil {
		if !led {
			entry.lead.end()
		}
		h.leave(name, entry)
		return nil, nil, errInLine
	}
	end := func() {
		entry.limit.Release()
		h.leave(name, entry)
	}
	if !led {
		return func() {
			entry.lead.end() // it may have failed to connect
			end()
		}, entry.lead.end, nil
	}
	if err := entry.lead.wait(ctx); err != nil {
		end()
		return nil, nil, errInLine
	}
	return end, nil, nil
}

func (h *hosts) leave(name string, entry *host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if entry.users--; entry.users == 0 {
		delete(h.m, name)
	}
}
