package gateway

import (
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// ServersStatus is what happened to the servers of a store.
type ServersStatus struct {
	// Store is rejected or outbox.
	Store string `json:"store"`
	// Failovers is how often a server was replaced or restarted since the process began. LastFailover is when that last happened; absent if
	// it never did.
	Failovers    int       `json:"failovers"`
	LastFailover time.Time `json:"last_failover,omitzero"`
}

// Servers returns what happened to the servers of the stores that have any. It asks no server.
func (g *Gateway) Servers() (status []ServersStatus) {
	if s, ok := g.Rejected.(rejected.Served); ok {
		n, last := s.Failovers()
		status = append(status, ServersStatus{"rejected", n, last})
	}
	if s, ok := g.Outbox.(outbox.Served); ok {
		n, last := s.Failovers()
		status = append(status, ServersStatus{"outbox", n, last})
	}
	return status
}

// unconfirmed returns the degradation if the servers of the outbox don't confirm pushes.
func (g *Gateway) unconfirmed() (d Degradation, ok bool) {
	confirmer, ok := g.Outbox.(outbox.Confirmer)
	if !ok {
		return d, false
	}
	since, why := confirmer.Unconfirmed()
	if why == nil {
		return d, false
	}
	return Degradation{Reason: "outbox_unconfirmed", Error: why.Error(), Since: present(since)}, true
}
