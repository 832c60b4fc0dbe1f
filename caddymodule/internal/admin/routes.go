// Package admin implements the gateway's routes in Caddy's admin API, and their answers, which the command reads.
//
// Each file has the routes below the path that it is named after. They depend only on the engine, not on the module that mounts them.
package admin

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// Routes returns the routes. Each request calls find, which returns the live gateway, or an error that explains why there is none.
func Routes(find func() (*gateway.Gateway, error)) []caddy.AdminRoute {
	route := func(path, methods string, serve caddy.AdminHandlerFunc) caddy.AdminRoute {
		return caddy.AdminRoute{Pattern: "/matrix_push/" + path, Handler: method(methods, serve)}
	}
	get := func(path string, serve serveFunc) caddy.AdminRoute {
		return route(path, "GET, HEAD", withGateway(find, serve))
	}
	post := func(path string, serve serveFunc) caddy.AdminRoute {
		return route(path, "POST", withGateway(find, serve))
	}
	return []caddy.AdminRoute{
		route("health/live", "GET, HEAD", alive),
		route("health/ready", "GET, HEAD", ready(find)),
		get("apps", serveApps),
		get("history", serveHistory),
		get("keys", serveKeys),
		get("fuses", serveFuses),
		post("fuses/reset", resetFuse),
		get("rejected", serveRejected),
		post("rejected/explain", explain),
		post("rejected/forget", forget),
		get("outbox", serveOutbox),
		post("outbox/retry", retry),
		post("outbox/drop", drop),
		post("send", send),
		post("preview", preview),
		post("probe", makeProbe),
		post("probe/seen", seenOfProbe),
	}
}

// serveFunc serves a route with the live gateway.
type serveFunc func(http.ResponseWriter, *http.Request, *gateway.Gateway) error

// method serves only the allowed methods, a list in the format of the Allow header.
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

// withGateway serves a route with the gateway that find returns.
func withGateway(find func() (*gateway.Gateway, error), serve serveFunc) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		g, err := find()
		if err != nil {
			return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
		}
		err = serve(w, r, g)
		var ambiguous *ambiguousError
		if errors.As(err, &ambiguous) {
			return respond(w, http.StatusConflict, ambiguous.Failure)
		}
		return err
	}
}
