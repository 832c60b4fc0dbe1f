// Package matrixpush adds a Matrix push gateway to Caddy. Importing it registers every module of this repository, so this is enough:
//
//	xcaddy build --with github.com/matrix-push/caddy-matrix-push
//
// For a smaller build, import package caddymodule and only the providers, rejected stores and outboxes that you need.
package matrixpush

import (
	_ "github.com/matrix-push/caddy-matrix-push/caddymodule"
	_ "github.com/matrix-push/caddy-matrix-push/caddymodule/sygnal"
	_ "github.com/matrix-push/caddy-matrix-push/caddymodule/xmpp"
	_ "github.com/matrix-push/caddy-matrix-push/outbox/file"
	_ "github.com/matrix-push/caddy-matrix-push/outbox/off"
	_ "github.com/matrix-push/caddy-matrix-push/outbox/redis"
	_ "github.com/matrix-push/caddy-matrix-push/providers/apns"
	_ "github.com/matrix-push/caddy-matrix-push/providers/fcm"
	_ "github.com/matrix-push/caddy-matrix-push/providers/unifiedpush"
	_ "github.com/matrix-push/caddy-matrix-push/providers/webpush"
	_ "github.com/matrix-push/caddy-matrix-push/providers/webpushrelay"
	_ "github.com/matrix-push/caddy-matrix-push/rejected/file"
	_ "github.com/matrix-push/caddy-matrix-push/rejected/memory"
	_ "github.com/matrix-push/caddy-matrix-push/rejected/redis"
)
