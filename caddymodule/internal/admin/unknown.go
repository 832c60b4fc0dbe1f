package admin

import (
	"context"
	"net/http"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// noApp refuses a request for an app that is not configured. It names the app that was probably meant, and all that there are.
func noApp(g *gateway.Gateway, pattern string) error {
	return refuse(http.StatusNotFound, "%s", g.Router.Missing("there is no app", pattern))
}

// configured returns false if a request names an app that is not configured, as in an answer about what is left of the app. Otherwise it
// returns nil.
func configured(g *gateway.Gateway, pattern string) *bool {
	if pattern == "" || g.Router.Configured(pattern) != nil {
		return nil
	}
	return new(bool)
}

// knownApp refuses a request about the records of an app that is not configured and has none. If the store has so many records that
// this is not known within bulkTime, the app passes.
func knownApp(ctx context.Context, g *gateway.Gateway, lister rejected.Lister, pattern string) error {
	if pattern == "" || g.Router.Configured(pattern) != nil {
		return nil
	}
	records, next, err := listRecords(ctx, lister, rejected.Query{Limit: 1}, filter{app: pattern})
	switch {
	case err != nil:
		return storeError("rejected", err)
	case len(records) == 0 && next == "":
		return noApp(g, pattern)
	}
	return nil
}
