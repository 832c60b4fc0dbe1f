package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// lookTime bounds a look at the outbox: a store that is gone must not keep an operator, or a health check, from the rest.
const lookTime = 2 * time.Second

// overview asks no push service, and the outbox for a short time.
func overview(ctx context.Context, g *gateway.Gateway) Overview {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	o := Overview{
		Status: Ready, Rejected: caddy.GetModuleName(g.Rejected), Outbox: caddy.GetModuleName(g.Outbox), Apps: g.Status(ctx),
	}
	if sizer, ok := g.Rejected.(rejected.Sizer); ok {
		n := sizer.Len()
		o.Records = &n
	}
	if o.Degraded = g.Degradations(o.Apps); len(o.Degraded) > 0 {
		o.Status = Degraded
	}
	return o
}

// serveApps serves the overview, of one app if the request asks for it.
func serveApps(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	values, err := parameters(r, "app")
	if err != nil {
		return err
	}
	o := overview(r.Context(), g)
	if pattern := values.Get("app"); pattern != "" {
		if g.Router.Configured(pattern) == nil {
			return refuse(http.StatusNotFound, "there is no app %q", pattern)
		}
		o.Apps = slices.DeleteFunc(o.Apps, func(s gateway.AppStatus) bool { return s.App != pattern })
	}
	return respond(w, http.StatusOK, o)
}
