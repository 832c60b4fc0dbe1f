package admin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// alive serves the liveness check: whether the process answers at all.
func alive(w http.ResponseWriter, _ *http.Request) error {
	return respond(w, http.StatusOK, map[string]string{"status": "live"})
}

// ready serves the readiness check: whether a gateway has started. Not ready is an answer, not an error, as Caddy would log each error.
func ready(find func() (*gateway.Gateway, error)) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		g, err := find()
		if err != nil {
			return respond(w, http.StatusServiceUnavailable, Readiness{Status: NotReady, Error: err.Error(), Degraded: []gateway.Degradation{}})
		}
		o := overview(r.Context(), g)
		return respond(w, http.StatusOK, Readiness{Status: o.Status, Degraded: o.Degraded})
	}
}
