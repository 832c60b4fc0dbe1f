package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// lookTime limits how long the outbox is read: a store that is down must not block an operator or a health check.
const lookTime = 2 * time.Second

// overview returns the state of the gateway. It asks no push service, and waits only briefly for the outbox.
func overview(ctx context.Context, g *gateway.Gateway) Overview {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	o := Overview{
		Status: Ready, Rejected: caddy.GetModuleName(g.Rejected), Outbox: caddy.GetModuleName(g.Outbox), Apps: g.Status(ctx),
		Refused: telemetry.Refusals(), Components: telemetry.Components(), Since: g.Shared.Since, Servers: g.Servers(),
	}
	if sizer, ok := g.Rejected.(rejected.Sizer); ok {
		n := sizer.Len()
		o.Records = &n
	}
	if o.Degraded = append(g.Degradations(o.Apps), componentsDown(o.Components)...); len(o.Degraded) > 0 {
		o.Status = Degraded
	}
	return o
}

// serveApps serves the overview, limited to one app if the request asks for it.
func serveApps(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	values, err := parameters(r, "app")
	if err != nil {
		return err
	}
	o := overview(r.Context(), g)
	if pattern := values.Get("app"); pattern != "" {
		if g.Router.Configured(pattern) == nil {
			return noApp(g, pattern)
		}
		o.Apps = slices.DeleteFunc(o.Apps, func(s gateway.AppStatus) bool { return s.App != pattern })
	}
	return respond(w, http.StatusOK, o)
}
