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
// `/_matrix/push/` and passes everything else on, so that it can stand in front of the operator's own push server.
//
// What the gateway does is configured once for all sites, in the app `matrix_push`.
type Handler struct {
	// The patterns of the apps that this site serves, written as they are configured. A device of another app is answered as
	// one of an unknown app. Default: all.
	Apps []string `json:"apps,omitempty"`

	// What becomes of a request that came without TLS: `refuse` answers 403, `trusted_proxy` believes the `X-Forwarded-Proto` of a proxy
	// that the server's `trusted_proxies` names, if all of it says https, `allow` takes it. With `refuse`, a server that could never speak
	// TLS fails to load. Default: `refuse`.
	Plaintext string `json:"plaintext,omitempty"`

	app    *App
	serves func(*gateway.App) bool
}

// CaddyModule returns the module's name and constructor.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.matrix_push", New: func() caddy.Module { return new(Handler) }}
}

// Provision finds the app, and checks what the site asks of it.
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
