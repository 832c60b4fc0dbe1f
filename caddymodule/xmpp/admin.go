package xmpp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

func init() {
	caddy.RegisterModule(new(Admin))
}

// Admin adds the routes of XMPP components to Caddy's admin API:
//
//	GET  /matrix_push/xmpp/keys          the keys of the components' nodes, without the secret parts
//	POST /matrix_push/xmpp/keys/rotate   makes a new key for a component's nodes, and retires the oldest
type Admin struct{}

// CaddyModule returns the module's name and constructor.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.xmpp_push", New: func() caddy.Module { return new(Admin) }}
}

// Provision registers the metrics on the registry that the admin API serves.
func (*Admin) Provision(ctx caddy.Context) error {
	return telemetry.RegisterXMPP(ctx.GetMetricsRegistry())
}

// Routes returns the routes. Each call looks up the live configuration.
func (*Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/matrix_push/xmpp/keys", Handler: only(serveKeys, http.MethodGet, http.MethodHead)},
		{Pattern: "/matrix_push/xmpp/keys/rotate", Handler: only(rotateKeys, http.MethodPost)},
	}
}

// only serves some methods with the live configuration.
func only(serve func(http.ResponseWriter, *http.Request, *App) error, methods ...string) caddy.AdminHandlerFunc {
	return admin.Only(func(w http.ResponseWriter, r *http.Request) error {
		app, err := caddy.ActiveContext().AppIfConfigured("xmpp_push")
		if err != nil {
			return refused(http.StatusServiceUnavailable, errors.New("no XMPP component is configured"))
		}
		return serve(w, r, app.(*App))
	}, methods...)
}

func refused(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

func serveKeys(w http.ResponseWriter, _ *http.Request, a *App) error {
	answer := admin.NodeKeys{Components: []admin.ComponentKeys{}}
	for _, s := range a.services {
		if s.ring != nil {
			answer.Components = append(answer.Components, admin.ComponentKeys{Component: s.jid, Keys: s.ring.Keys()})
		}
	}
	return admin.Respond(w, answer)
}

// maxBody limits a request.
const maxBody = 4 << 10

func rotateKeys(w http.ResponseWriter, r *http.Request, a *App) error {
	var request struct {
		Component string `json:"component"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if d.Decode(&request) != nil || request.Component == "" {
		return refused(http.StatusBadRequest, errors.New(`the body must be a JSON object with a component: {"component": "push.example.org"}`))
	}
	var names []string
	for _, s := range a.services {
		if s.jid != request.Component {
			names = append(names, s.jid)
			continue
		}
		if s.ring == nil {
			return refused(http.StatusConflict, fmt.Errorf("component %q has no nodes: it only relays Push 2.0", s.jid))
		}
		keys, err := s.ring.Rotate(r.Context())
		if err != nil {
			return err
		}
		return admin.Respond(w, admin.ComponentKeys{Component: s.jid, Keys: keys})
	}
	return refused(http.StatusNotFound, fmt.Errorf("component: there is no component %s%s", nearest.Shown(request.Component),
		nearest.Instead(request.Component, "components", names)))
}

// Interface guards
var (
	_ caddy.Provisioner = (*Admin)(nil)
	_ caddy.AdminRouter = (*Admin)(nil)
)
