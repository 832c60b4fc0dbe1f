package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
)

// refuse answers a request for which nothing was sent, and returns the status.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err *gateway.Error) int {
	h.app.observer.RequestRefused(err, h.seen(r, r.URL.Path))
	if err.RetryAfter > 0 {
		retryAfter(w, err.RetryAfter)
	}
	return fail(w, err)
}

// seen returns what the log shows of a refused request, or nil if it can't be a notification, which is always a POST.
func (h *Handler) seen(r *http.Request, path string) *telemetry.Request {
	if r.Method != http.MethodPost {
		return nil
	}
	return &telemetry.Request{
		Site: h.siteName(r), From: clientIP(r), ForwardedProto: r.Header.Values(forwardedProto), Path: path,
	}
}

// siteName returns the site that the handler is on, as configured. It contains nothing that a client sends.
func (h *Handler) siteName(r *http.Request) string {
	h.named.Do(func() {
		server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
		if !ok {
			return
		}
		var hosts []string
		for _, m := range mountsOn(server) {
			if m.handler == h {
				hosts = append(hosts, m.hosts...)
			}
		}
		h.name = describeSite(server, hosts)
	})
	return h.name
}
