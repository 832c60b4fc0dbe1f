package admin

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

// serveKeys serves the application server keys of all apps that have one, or of the app that serves an app_id. The keys are public: clients
// subscribe with them.
func serveKeys(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) error {
	values, err := parameters(r, "app_id")
	if err != nil {
		return err
	}
	router := g.Router
	apps := router.Apps()
	appID := values.Get("app_id")
	if appID != "" {
		serving := router.Configured(appID) // an app's pattern is fine, too
		if serving == nil {
			serving = router.Route(appID)
		}
		if serving == nil {
			return refuse(http.StatusNotFound, "no app serves %q: the configured apps are %s", appID, patterns(apps))
		}
		apps = []*gateway.App{serving}
	}
	answer := Keys{Keys: []Key{}}
	for _, serving := range apps {
		if key := serving.Advertise().ApplicationServerKey; key != "" {
			answer.Keys = append(answer.Keys, Key{App: serving.Pattern, Provider: serving.ProviderName, ApplicationServerKey: key})
		}
	}
	if appID != "" && len(answer.Keys) == 0 {
		return refuse(http.StatusNotFound, "app %q has no application server key: its provider is %s, and only webpush and unifiedpush have keys",
			apps[0].Pattern, apps[0].ProviderName)
	}
	return respond(w, http.StatusOK, answer)
}

// maxPatterns limits how many apps an error names.
const maxPatterns = 20

// patterns returns the apps' patterns for an error.
func patterns(apps []*gateway.App) string {
	names := make([]string, 0, maxPatterns+1)
	for i, app := range apps {
		if i == maxPatterns {
			names = append(names, fmt.Sprintf("%d more", len(apps)-i))
			break
		}
		names = append(names, app.Pattern)
	}
	return strings.Join(names, ", ")
}
