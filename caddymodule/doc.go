// Package caddymodule is the Caddy face of the Matrix push gateway: the app `matrix_push`, which owns apps, stores and limits, and
// the handler `http.handlers.matrix_push`, which mounts the endpoint on a site. The engine is in internal/gateway, the routes of the admin
// API in internal/admin, the command in internal/command, and log lines, metrics and events in internal/telemetry.
//
// It plugs in no provider and no store. Package matrixpush, at the root of the module, plugs in all of them.
package caddymodule
