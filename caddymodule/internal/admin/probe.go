package admin

import (
	"net/http"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// makeProbe makes a probe. Nothing is stored for it.
func makeProbe(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	if err := decode(w, r, new(struct{})); err != nil {
		return err
	}
	probe, err := g.Shared.Probes.Make(r.Context(), g.Now())
	if err != nil {
		return refuse(http.StatusServiceUnavailable, "%w", err)
	}
	return respond(w, http.StatusOK, probe)
}

// seenOfProbe serves what this gateway has seen of a probe.
func seenOfProbe(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	var request struct {
		Pushkey string `json:"pushkey"`
	}
	if err := decode(w, r, &request); err != nil {
		return err
	}
	seen, ok := g.Shared.Probes.Seen(request.Pushkey, g.Now())
	if !ok {
		return refuse(http.StatusBadRequest, "pushkey: must be one that the route probe of this gateway made")
	}
	return respond(w, http.StatusOK, seen)
}
