package caddymodule

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(new(Admin))
}

// Admin has the gateway's routes in Caddy's admin API:
//
//	GET  /matrix_push/apps               how each app is
//	GET  /matrix_push/health/live        whether the process answers
//	GET  /matrix_push/health/ready       whether a gateway has started, and what is wrong with it
//	GET  /matrix_push/keys               the public keys that clients subscribe with
//	GET  /matrix_push/fuses              the state of each app's fuse
//	POST /matrix_push/fuses/reset        believes an app's rejections again
//	GET  /matrix_push/rejected           the pushkeys that are on record as dead or suspected, by their hashes
//	POST /matrix_push/rejected/explain   all that is known of a device
//	POST /matrix_push/rejected/forget    forgets a rejection, or an app's since a time
//	GET  /matrix_push/outbox             what waits
//	POST /matrix_push/outbox/retry       lets what waits be tried now
//	POST /matrix_push/outbox/drop        gives up what waits
//	POST /matrix_push/send               sends a test notification
//
// A pushkey stands in a request's body only, never in its URL, which Caddy logs, and in no answer.
type Admin struct {
	// find finds the app; nil for the one that is live.
	find func() *App
}

// CaddyModule returns the module's name and constructor.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.matrix_push", New: func() caddy.Module { return new(Admin) }}
}

// Routes are the routes. They find the configuration that is live when they are called: after a reload that failed, the admin API belongs
// to the configuration that failed.
func (a *Admin) Routes() []caddy.AdminRoute {
	get := func(path string, serve serveFunc) caddy.AdminRoute {
		return caddy.AdminRoute{Pattern: "/matrix_push/" + path, Handler: method("GET, HEAD", a.withApp(serve))}
	}
	post := func(path string, serve serveFunc) caddy.AdminRoute {
		return caddy.AdminRoute{Pattern: "/matrix_push/" + path, Handler: method("POST", a.withApp(serve))}
	}
	return []caddy.AdminRoute{
		{Pattern: "/matrix_push/health/live", Handler: method("GET, HEAD", alive)},
		{Pattern: "/matrix_push/health/ready", Handler: method("GET, HEAD", a.ready)},
		get("apps", a.apps),
		get("keys", a.keys),
		get("fuses", a.fuses),
		post("fuses/reset", a.resetFuse),
		get("rejected", a.rejected),
		post("rejected/explain", a.explain),
		post("rejected/forget", a.forget),
		get("outbox", a.outbox),
		post("outbox/retry", a.retry),
		post("outbox/drop", a.drop),
		post("send", a.send),
	}
}

// serveFunc serves a route with the app that is live.
type serveFunc func(http.ResponseWriter, *http.Request, *App) error

// method serves the methods in a list as the Allow header has it.
func method(allowed string, serve caddy.AdminHandlerFunc) caddy.AdminHandlerFunc {
	list := strings.Split(allowed, ", ")
	return func(w http.ResponseWriter, r *http.Request) error {
		if !slices.Contains(list, r.Method) {
			w.Header().Set("Allow", allowed)
			return refuse(http.StatusMethodNotAllowed, "method not allowed: use %s", list[0])
		}
		return serve(w, r)
	}
}

func (a *Admin) withApp(serve serveFunc) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		app, err := a.app()
		if err != nil {
			return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
		}
		err = serve(w, r, app)
		var ambiguous *ambiguousError
		if errors.As(err, &ambiguous) {
			return respond(w, http.StatusConflict, ambiguous.Failure)
		}
		return err
	}
}

var (
	errNoGateway = errors.New("no Matrix push gateway is configured")
	errStarting  = errors.New("the Matrix push gateway is starting")
)

// app is the app that is live and has started.
func (a *Admin) app() (*App, error) {
	find := a.find
	if find == nil {
		find = liveApp
	}
	app := find()
	if app == nil {
		return nil, errNoGateway
	}
	select {
	case <-app.started:
		return app, nil
	default:
		return nil, errStarting
	}
}

func respond(w http.ResponseWriter, status int, answer any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(answer)
}

// Interface guard
var _ caddy.AdminRouter = (*Admin)(nil)
