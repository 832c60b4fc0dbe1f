package caddymodule

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
)

func init() {
	caddy.RegisterModule(new(Admin))
}

// Admin has the gateway's routes in Caddy's admin API:
//
//	GET  /matrix_push/apps               how each app is
//	GET  /matrix_push/health/live        whether the process answers
//	GET  /matrix_push/health/ready       whether a gateway has started, and what is wrong with it
//	GET  /matrix_push/keys               the public keys that clients subscribe with
//	GET  /matrix_push/fuses              the state of each app's fuse
//	POST /matrix_push/fuses/reset        believes an app's rejections again
//	GET  /matrix_push/rejected           the pushkeys that are on record as dead or suspected, by their hashes
//	POST /matrix_push/rejected/explain   all that is known of a device
//	POST /matrix_push/rejected/forget    forgets a rejection, or an app's since a time
//	GET  /matrix_push/outbox             the pending pushes
//	POST /matrix_push/outbox/retry       tries pending pushes now
//	POST /matrix_push/outbox/drop        drops pending pushes
//	POST /matrix_push/send               sends a test notification
//
// A pushkey appears in a request's body only, never in its URL, which Caddy logs, and in no answer.
type Admin struct{}

// CaddyModule returns the module's name and constructor.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.matrix_push", New: func() caddy.Module { return new(Admin) }}
}

// Provision puts the metrics on the registry that the admin API serves: of a configuration whose load fails, the app may never have had
// its turn.
func (*Admin) Provision(ctx caddy.Context) error {
	return telemetry.Register(ctx.GetMetricsRegistry(), liveGateway)
}

// Routes returns the routes. They find the configuration that is live when they are called: after a reload that failed, the admin API
// belongs to the configuration that failed.
func (*Admin) Routes() []caddy.AdminRoute { return admin.Routes(liveGateway) }

// Interface guards
var (
	_ caddy.Provisioner = (*Admin)(nil)
	_ caddy.AdminRouter = (*Admin)(nil)
)
