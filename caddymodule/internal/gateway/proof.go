package gateway

import (
	"slices"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// blames reports whether what a host refuses is the operator's fault. Where devices choose the host, a subscription that was made for
// another key is a matter of its device, unless several are refused and none was delivered to with the current settings.
func (h *hosts) blames(name string, load int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.find(name)
	return name == "" || one != nil && one.refusing == load && one.refused.n == witnesses && one.proof != load
}

// distinct are devices, as many as it takes to believe that something is not a matter of one of them.
type distinct struct {
	keys [witnesses]rejected.Key
	n    int
}

func (d *distinct) add(k rejected.Key) {
	if d.n == witnesses || slices.Contains(d.keys[:d.n], k) {
		return
	}
	d.keys[d.n] = k
	d.n++
}
