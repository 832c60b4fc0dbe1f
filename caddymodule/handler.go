package caddymodule

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/jsonopt"
	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler mounts the Matrix push gateway's endpoint, `/_matrix/push/v1/notify`, on a site. It answers all requests for paths below
// `/_matrix/push/`. All other requests go to the site's next handler, so your own push server can be on the same site. If no handler answers
// a `POST` request, the gateway answers it with 404, because Caddy's empty 200 would look like a delivery.
//
// The gateway itself is configured once for all sites, in the app `matrix_push`.
type Handler struct {
	// The apps that this site serves: a list of their patterns, written exactly as in the configuration of the apps. If a device's app_id
	// belongs to none of these apps, this site treats its app as unknown. Default: all apps.
	Apps []string `json:"apps,omitempty"`

	// What the site does with requests that arrive without TLS. `refuse` answers them with 403. `trusted_proxy` accepts a request if a proxy
	// in the server's `trusted_proxies` sent it, and its `X-Forwarded-Proto` contains only https. `allow` accepts all requests. With `refuse`,
	// the configuration fails to load if the server can never use TLS. Default: `refuse`.
	Plaintext string `json:"plaintext,omitempty"`

	app    *App
	serves func(*gateway.App) bool

	named sync.Once // sets name
	name  string
}

// CaddyModule returns the module's name and constructor.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.matrix_push", New: func() caddy.Module { return new(Handler) }}
}

// UnmarshalJSON decodes the site's options. Its errors name the option.
func (h *Handler) UnmarshalJSON(raw []byte) error {
	type options Handler // without this method
	return jsonopt.Decode(raw, (*options)(h))
}

// Provision finds the app and checks the site's options.
func (h *Handler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("matrix_push")
	if err != nil {
		return err
	}
	h.app = app.(*App)
	for _, pattern := range h.Apps {
		if _, ok := h.app.Apps[pattern]; !ok {
			known := slices.Collect(maps.Keys(h.app.Apps))
			return fmt.Errorf("apps: no app %s is configured%s", nearest.Shown(pattern), nearest.Instead(pattern, "apps", known))
		}
	}
	h.serves = func(a *gateway.App) bool { return len(h.Apps) == 0 || slices.Contains(h.Apps, a.Pattern) }
	return h.checkPlaintext(ctx)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
