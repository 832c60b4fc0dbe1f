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
	since time.Time // of the first failure since the last delivery
	last  [failures]failure
	count int // since the last delivery
}

// failure is an attempt that failed.
type failure struct {
	at   time.Time
	host string
	own  bool // the operator's: the app's one service, or a site of this server
}

// note counts an attempt.
func (h *health) note(host string, own bool, o providers.Outcome, now time.Time) {
	switch {
	case o.Kind == providers.KindDelivered:
		*h = health{}
	case isFault(o):
		if h.count == 0 {
			h.since = now
		}
		h.last[h.count%failures] = failure{now, host, own || host == ""}
		h.count++
	}
}

// failing is since when the app fails; zero if it does not.
func (h *health) failing() time.Time {
	if h.count < failures {
		return time.Time{}
	}
	first, latest, own, several := h.last[0].at, h.last[0].at, false, false
	for _, f := range h.last {
		if f.at.Before(first) {
			first = f.at
		}
		if f.at.After(latest) {
			latest = f.at
		}
		own, several = own || f.own, several || f.host != h.last[0].host
	}
	if latest.Sub(first) < failingFor || !own && !several {
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
