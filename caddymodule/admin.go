package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(Admin{})
}

// Admin has the gateway's routes in Caddy's admin API:
//
//	GET  /matrix_push/fuses                                  the state of each app's fuse
//	POST /matrix_push/fuses/reset  {"app": "org.example.*"}  believes the app's rejections again
//
// The app is its pattern as configured; without one, it is the fuse for devices of unknown apps.
type Admin struct{}

// CaddyModule returns the module's name and constructor.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.matrix_push", New: func() caddy.Module { return new(Admin) }}
}

// Routes are the routes. They find the configuration that is live when they are called.
func (a *Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/matrix_push/fuses", Handler: method(http.MethodGet, a.fuses)},
		{Pattern: "/matrix_push/fuses/reset", Handler: method(http.MethodPost, a.resetFuse)},
	}
}

func (a *Admin) fuses(w http.ResponseWriter, _ *http.Request, app *App) error {
	return respond(w, app.gateway.Fuses())
}

// maxAdminBody bounds a request to the admin API.
const maxAdminBody = 64 << 10

func (a *Admin) resetFuse(w http.ResponseWriter, r *http.Request, app *App) error {
	var request struct {
		App string `json:"app"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAdminBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("the body is not such as {\"app\": \"org.example.*\"}: %w", err)}
	}
	was, ok := app.gateway.ResetFuse(request.App)
	if !ok {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("there is no app %q", request.App)}
	}
	return respond(w, map[string]bool{"was_tripped": was})
}

// method serves one method, with the live configuration.
func method(name string, serve func(http.ResponseWriter, *http.Request, *App) error) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != name {
			return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed")}
		}
		live, err := caddy.ActiveContext().AppIfConfigured("matrix_push")
		if err != nil {
			return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("no Matrix push gateway is configured")}
		}
		return serve(w, r, live.(*App))
	}
}

func respond(w http.ResponseWriter, answer any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}

// Interface guard
var _ caddy.AdminRouter = (*Admin)(nil)
