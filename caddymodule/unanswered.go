package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// passOn passes a request for another path to the site's next handler. If no handler answers it, Caddy answers with an empty 200, and that
// looks like a delivery. So a POST that no handler answers is refused.
func (h *Handler) passOn(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Method != http.MethodPost {
		return next.ServeHTTP(w, r)
	}
	path := r.URL.Path // the next handlers may change it
	watched := &watchedWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
	err := next.ServeHTTP(watched, r)
	// A handler that writes nothing also answers with an empty 200, and means it. Caddy sets the variable only if it has no more handlers.
	unhandled, _ := caddyhttp.GetVar(r.Context(), unhandledVar).(bool)
	if err != nil || watched.answered || !unhandled {
		return err
	}
	caddyhttp.SetVar(r.Context(), unhandledVar, nil) // otherwise the access log shows it as not handled
	refused := gateway.ErrWrongPath()
	if strings.Trim(path, "/") == "" {
		refused = gateway.ErrNoPath()
	}
	if looksLikeNotify(path) {
		h.app.observer.RequestRefused(refused, h.seen(r, path))
	}
	fail(w, refused)
	return nil
}

// unhandledVar is the variable that Caddy sets for a request that reached the end of the site's handlers.
const unhandledVar = "unhandled"

// looksLikeNotify reports whether a request for a path is probably a notification with a wrong URL. Other requests are not worth a line in
// the log, because anyone sends them to a site on the internet.
func looksLikeNotify(path string) bool {
	path = strings.TrimRight(path, "/")
	return path == "" || strings.HasSuffix(path, "/notify") || strings.HasPrefix(path+"/", prefix)
}
