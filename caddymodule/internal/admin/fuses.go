package admin

import (
	"net/http"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

func serveFuses(w http.ResponseWriter, _ *http.Request, g *gateway.Gateway) error {
	return respond(w, http.StatusOK, g.Fuses())
}

// resetFuse resets the fuse of an app, or without an app the fuse for devices of unknown apps.
func resetFuse(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	var request struct {
		App string `json:"app"`
	}
	if err := decode(w, r, &request); err != nil {
		return err
	}
	was, ok := g.ResetFuse(request.App)
	if !ok {
		return noApp(g, request.App)
	}
	return respond(w, http.StatusOK, FuseReset{WasTripped: was})
}
