package gateway

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// An app fails when its latest attempts all failed, at least this many over at least failingFor, and nothing was delivered since
	// the first of them.
	failures   = 3
	failingFor = 30 * time.Second
)

// health tracks whether an app's pushes arrive at all. Where devices choose the host, a single failing host may be a stranger's. So the
// app fails only if two hosts fail, or the operator's own host does. A rate limit, or a limit of the gateway, is not a failure. It is
// not safe for concurrent use.
type health struct {
	// since and latest are when the first and the latest attempt failed since the last delivery. count is how many failed.
	since, latest time.Time
	count         int
	// host is the host of the first failure. several means that another host failed too. own means that one of them was the operator's:
	// the app's only service, or a site of this server.
	host         string
	several, own bool
}

// note counts an attempt.
func (h *health) note(host string, own bool, o providers.Outcome, now time.Time) {
	switch {
	case o.Kind == providers.KindDelivered:
		*h = health{}
	case isFault(o):
		if h.count == 0 {
			h.since, h.host = now, host
		}
		h.count++
		h.latest = now
		h.several = h.several || host != h.host
		h.own = h.own || own || host == ""
	}
}

// failing returns since when the app fails; zero if it does not.
func (h *health) failing() time.Time {
	if h.count < failures || h.latest.Sub(h.since) < failingFor || !h.own && !h.several {
		return time.Time{}
	}
	return h.since
}

// failing returns since when the app fails; zero if it does not.
func (h *hosts) failing() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.health.failing()
}
