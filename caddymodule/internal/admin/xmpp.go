package admin

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/component"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/xmpp/node"
)

// NodeKeys are the keys of the XMPP components that have nodes.
type NodeKeys struct {
	Components []ComponentKeys `json:"components"`
}

// ComponentKeys are the keys of a component's nodes: the newest first, and the retired ones at the end.
type ComponentKeys struct {
	Component string     `json:"component"`
	Keys      []node.Key `json:"keys"`
}

// Only serves only these methods. Package xmpp has routes, too.
func Only(serve caddy.AdminHandlerFunc, methods ...string) caddy.AdminHandlerFunc {
	return method(strings.Join(methods, ", "), serve)
}

// Respond answers with JSON.
func Respond(w http.ResponseWriter, answer any) error { return respond(w, http.StatusOK, answer) }

// componentsDown returns the XMPP components that cannot be connected.
func componentsDown(components []telemetry.ComponentStatus) (list []gateway.Degradation) {
	for _, c := range components {
		if !c.Up && c.Reason != "" && c.Reason != component.Stopped {
			list = append(list, gateway.Degradation{Component: c.Component, Reason: "component_down", Detail: c.Reason, Explanation: c.Hint, Since: &c.Since})
		}
	}
	return list
}
