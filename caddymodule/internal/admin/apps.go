package caddymodule

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminapi"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// lookTime bounds a look at the outbox: a store that is gone must not keep an operator, or a health check, from the rest.
const lookTime = 2 * time.Second

// overview asks no push service, and the outbox for a short time.
func (a *App) overview(ctx context.Context) adminapi.Overview {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	o := adminapi.Overview{
		Status: adminapi.Ready, Rejected: guestName(a.gateway.Rejected), Outbox: guestName(a.gateway.Outbox), Apps: a.gateway.Status(ctx),
	}
	if sizer, ok := a.gateway.Rejected.(rejected.Sizer); ok {
		n := sizer.Len()
		o.Records = &n
	}
	if o.Degraded = a.gateway.Degradations(o.Apps); len(o.Degraded) > 0 {
		o.Status = adminapi.Degraded
	}
	return o
}

// guestName is the last part of a module's ID.
func guestName(guest any) string {
	if m, ok := guest.(caddy.Module); ok {
		return m.CaddyModule().ID.Name()
	}
	return ""
}

// apps serves the overview, of one app if the request asks for it.
func (a *Admin) apps(w http.ResponseWriter, r *http.Request, app *App) error {
	values, err := parameters(r, "app")
	if err != nil {
		return err
	}
	o := app.overview(r.Context())
	if pattern := values.Get("app"); pattern != "" {
		if app.gateway.Router.Configured(pattern) == nil {
			return refuse(http.StatusNotFound, "there is no app %q", pattern)
		}
		o.Apps = slices.DeleteFunc(o.Apps, func(s gateway.AppStatus) bool { return s.App != pattern })
	}
	return respond(w, http.StatusOK, o)
}

func (a *Admin) fuses(w http.ResponseWriter, _ *http.Request, app *App) error {
	return respond(w, http.StatusOK, app.gateway.Fuses())
}

// resetFuse believes the rejections of an app again; without one, those of devices of unknown apps.
func (a *Admin) resetFuse(w http.ResponseWriter, r *http.Request, app *App) error {
	var request struct {
		App string `json:"app"`
	}
	if err := decode(w, r, &request); err != nil {
		return err
	}
	was, ok := app.gateway.ResetFuse(request.App)
	if !ok {
		return refuse(http.StatusNotFound, "there is no app %q", request.App)
	}
	return respond(w, http.StatusOK, adminapi.FuseReset{WasTripped: was})
}

// alive serves the check of whether the process answers at all.
func alive(w http.ResponseWriter, _ *http.Request) error {
	return respond(w, http.StatusOK, map[string]string{"status": "live"})
}

// ready serves the check. Not being ready is an answer and no error, of which Caddy would log each.
func (a *Admin) ready(w http.ResponseWriter, r *http.Request) error {
	app, err := a.app()
	if err != nil {
		return respond(w, http.StatusServiceUnavailable, adminapi.Readiness{Status: adminapi.NotReady, Error: err.Error(), Degraded: []gateway.Degradation{}})
	}
	o := app.overview(r.Context())
	return respond(w, http.StatusOK, adminapi.Readiness{Status: o.Status, Degraded: o.Degraded})
}
