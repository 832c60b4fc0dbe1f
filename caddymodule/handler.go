package caddymodule

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler mounts the Matrix push gateway's endpoint, `/_matrix/push/v1/notify`, on a site. It answers everything below
// `/_matrix/push/` and passes everything else on, so you can put it in front of your own push server.
//
// The gateway itself is configured once for all sites, in the app `matrix_push`.
type Handler struct {
	// The patterns of the apps that this site serves, exactly as they are configured. Devices of other apps are handled like devices of
	// unknown apps. Default: all.
	Apps []string `json:"apps,omitempty"`

	// How to handle requests that arrive without TLS. `refuse` answers 403. `trusted_proxy` accepts a request from a proxy in the server's
	// `trusted_proxies`, if its `X-Forwarded-Proto` contains only https. `allow` accepts all requests. With `refuse`, a server that can
	// never speak TLS fails to load. Default: `refuse`.
	Plaintext string `json:"plaintext,omitempty"`

	app    *App
	serves func(*gateway.App) bool
}

// CaddyModule returns the module's name and constructor.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.matrix_push", New: func() caddy.Module { return new(Handler) }}
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
			return fmt.Errorf("apps: no app %q is configured", pattern)
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
