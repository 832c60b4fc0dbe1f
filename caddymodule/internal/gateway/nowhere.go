package gateway

import "github.com/matrix-push/caddy-matrix-push/providers"

// orNowhere is the outcome of a push whose host has a name that does not exist. Anyone may ask for any name, and what is blocked is dropped:
// if this one waited, or counted for the breaker, the answers would list the names of the operator's network. So it is dropped as well, unless
// something was delivered to the device or at the host before, or the push is pending: then the name is one that was there, and may come back.
func (g *Gateway) orNowhere(f *flight, o providers.Outcome) providers.Outcome {
	if !o.NoSuchName || o.Kind != providers.KindRetry || f.leased || g.tookBefore(f) {
		return o
	}
	return providers.Dropped(o.Reason, o.Err)
}

// tookBefore reports whether a push was delivered to the device, or to another one at its host.
func (g *Gateway) tookBefore(f *flight) bool {
	return g.Shared.isProven(f.key) || f.app.hosts.tookPush(f.host)
}

// tookPush reports whether a host that devices chose is known to have taken a push.
func (h *hosts) tookPush(name string) bool {
	if name == "" {
		return true // it is the operator's choice
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.find(name)
	return one != nil && !one.delivered.IsZero()
}
