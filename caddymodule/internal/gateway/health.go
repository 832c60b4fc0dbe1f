package gateway

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// An app fails when its last failures attempts failed, over at least failingFor, and nothing was delivered since.
	failures   = 3
	failingFor = 30 * time.Second
)

// health is whether an app's pushes arrive at all. Where devices choose the host, one that fails alone is a stranger's matter: it takes two
// of them, or the operator's own. A rate limit, or a bound of the gateway's, is no failure. Not safe for concurrent use.
type health struct {
	// since and latest are when the first and the latest attempt failed since the last delivery, and count is how many did.
	since, latest time.Time
	count         int
	// host is that of the first. Several says that there was another one, and own that one was the operator's: the app's one service, or a
	// site of this server.
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

// failing is since when the app fails; zero if it does not.
func (h *health) failing() time.Time {
	if h.count < failures || h.latest.Sub(h.since) < failingFor || !h.own && !h.several {
		return time.Time{}
	}
	return h.since
}

// failing is since when the app fails; zero if it does not.
func (h *hosts) failing() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.health.failing()
}
