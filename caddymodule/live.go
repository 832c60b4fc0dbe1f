package caddymodule

import (
	"errors"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
)

var (
	errNoGateway = errors.New("no Matrix push gateway is configured")
	errStarting  = errors.New("the Matrix push gateway is starting")
)

// liveApp returns the app of the live configuration, or nil. It may not have started yet.
func liveApp() *App {
	app, err := caddy.ActiveContext().AppIfConfigured("matrix_push")
	if err != nil {
		return nil
	}
	return app.(*App)
}

// liveGateway returns the gateway of the live configuration, if it has started.
func liveGateway() (*gateway.Gateway, error) { return startedGateway(liveApp()) }

func startedGateway(app *App) (*gateway.Gateway, error) {
	if app == nil {
		return nil, errNoGateway
	}
	select {
	case <-app.started:
		return app.gateway, nil
	default:
		return nil, errStarting
	}
}

// liveEvents returns the events of the live configuration, or nil.
func liveEvents() *telemetry.Events {
	if app := liveApp(); app != nil {
		return app.events
	}
	return nil
}
