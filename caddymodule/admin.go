package caddymodule

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
)

func init() {
	caddy.RegisterModule(new(Admin))
}

// Admin adds the gateway's routes to Caddy's admin API:
//
//	GET  /matrix_push/apps               the state of each app
//	GET  /matrix_push/history            the pushes of the last hour, by app, outcome and minute
//	GET  /matrix_push/health/live        whether the process answers
//	GET  /matrix_push/health/ready       whether a gateway has started, and what needs attention
//	GET  /matrix_push/keys               the public keys that clients subscribe with
//	GET  /matrix_push/fuses              the state of each app's fuse
//	POST /matrix_push/fuses/reset        resets an app's fuse
//	GET  /matrix_push/rejected           the pushkeys that are recorded as dead or suspected, by hash
//	POST /matrix_push/rejected/explain   everything known about a device
//	POST /matrix_push/rejected/forget    forgets a rejection, or an app's rejections since a time
//	GET  /matrix_push/outbox             the pending pushes
//	POST /matrix_push/outbox/retry       tries pending pushes now
//	POST /matrix_push/outbox/drop        drops pending pushes
//	POST /matrix_push/send               sends a test notification
//	POST /matrix_push/probe              makes a probe: a pusher that shows whether a homeserver reaches the gateway
//	POST /matrix_push/probe/seen         whether notifications for a probe arrived
//
// Pushkeys appear only in request bodies: never in URLs, which Caddy logs, and never in answers.
type Admin struct{}

// CaddyModule returns the module's name and constructor.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.matrix_push", New: func() caddy.Module { return new(Admin) }}
}

// Provision registers the metrics on the registry that the admin API serves. If a configuration fails to load, its app may never have been
// provisioned.
func (*Admin) Provision(ctx caddy.Context) error {
	return telemetry.Register(ctx.GetMetricsRegistry(), liveGateway)
}

// Routes returns the routes. Each call looks up the live configuration, since after a failed reload the admin API belongs to the
// configuration that failed.
func (*Admin) Routes() []caddy.AdminRoute { return admin.Routes(liveGateway) }

// Interface guards
var (
	_ caddy.Provisioner = (*Admin)(nil)
	_ caddy.AdminRouter = (*Admin)(nil)
)
