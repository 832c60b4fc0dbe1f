// Package caddymodule provides the Caddy modules of the Matrix push gateway. The app `matrix_push` owns apps, stores and limits. The
// handler `http.handlers.matrix_push` mounts the endpoint on a site. The engine is in internal/gateway, the routes of the admin API in
// internal/admin, the command in internal/command, and log lines, metrics and events in internal/telemetry.
//
// The package includes no provider and no store. Package matrixpush, at the root of the module, imports all of them.
package caddymodule
