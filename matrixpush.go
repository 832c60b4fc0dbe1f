// Package matrixpush plugs a Matrix push gateway into Caddy: importing it registers every module of this repository, so that
// `xcaddy build --with github.com/matrix-push/caddy-matrix-push` is all it takes.
//
// A build with only some providers imports package caddymodule and the providers, rejected stores and outboxes that it wants.
package matrixpush

import (
	_ "github.com/matrix-push/caddy-matrix-push/caddymodule"
	_ "github.com/matrix-push/caddy-matrix-push/caddymodule/sygnal"
	_ "github.com/matrix-push/caddy-matrix-push/outbox/file"
	_ "github.com/matrix-push/caddy-matrix-push/outbox/off"
	_ "github.com/matrix-push/caddy-matrix-push/outbox/redis"
	_ "github.com/matrix-push/caddy-matrix-push/providers/apns"
	_ "github.com/matrix-push/caddy-matrix-push/providers/fcm"
	_ "github.com/matrix-push/caddy-matrix-push/providers/unifiedpush"
	_ "github.com/matrix-push/caddy-matrix-push/providers/webpush"
	_ "github.com/matrix-push/caddy-matrix-push/rejected/file"
	_ "github.com/matrix-push/caddy-matrix-push/rejected/memory"
	_ "github.com/matrix-push/caddy-matrix-push/rejected/redis"
)
