package admin

import (
	"net/http"

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
			return refuse(http.StatusNotFound, "%s", g.Router.Missing("no app serves", appID))
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
