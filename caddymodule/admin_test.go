package caddymodule

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
)

func TestTheModuleIsAnAdminRouter(t *testing.T) {
	t.Parallel()
	mod, err := caddy.GetModule("admin.api.matrix_push")
	if err != nil {
		t.Fatal(err)
	}
	router, ok := mod.New().(caddy.AdminRouter)
	if !ok {
		t.Fatalf("%T has no routes", mod.New())
	}
	for _, route := range router.Routes() {
		if !strings.HasPrefix(route.Pattern, "/matrix_push/") {
			t.Errorf("the route %s is not below /matrix_push/", route.Pattern)
		}
		if strings.HasSuffix(route.Pattern, "/apps") { // no configuration is live
			err := route.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, route.Pattern, nil))
			var refused caddy.APIError
			if !errors.As(err, &refused) || refused.HTTPStatus != http.StatusServiceUnavailable || !errors.Is(refused.Err, errNoGateway) {
				t.Errorf("without a gateway, it is answered %v", err)
			}
		}
	}
}

func TestOnlyAGatewayThatHasStartedServesTheAdminAPI(t *testing.T) {
	t.Parallel()
	app := &App{gateway: new(gateway.Gateway), started: make(chan struct{})}
	if _, err := startedGateway(nil); !errors.Is(err, errNoGateway) {
		t.Errorf("without an app, the error is %v", err)
	}
	if _, err := startedGateway(app); !errors.Is(err, errStarting) {
		t.Errorf("before the start, the error is %v", err)
	}
	close(app.started)
	if g, err := startedGateway(app); g != app.gateway || err != nil {
		t.Errorf("after the start, it is %p, %v", g, err)
	}
}
