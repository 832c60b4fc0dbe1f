package admin

import (
	"net/http"
	"slices"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// serveHistory serves the pushes of the last hour, limited to one app if the request asks for it.
func serveHistory(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	values, err := parameters(r, "app")
	if err != nil {
		return err
	}
	h := g.History()
	if pattern := values.Get("app"); pattern != "" {
		if g.Router.Configured(pattern) == nil {
			return noApp(g, pattern)
		}
		h.Apps = slices.DeleteFunc(h.Apps, func(a gateway.AppHistory) bool { return a.App != pattern })
	}
	return respond(w, http.StatusOK, h)
}
