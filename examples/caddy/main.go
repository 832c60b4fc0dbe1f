// Command caddy is Caddy with the Matrix push gateway, as `xcaddy build --with github.com/matrix-push/caddy-matrix-push` would build it:
//
//	go run ./examples/caddy run --config Caddyfile.example
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/matrix-push/caddy-matrix-push"
)

func main() { caddycmd.Main() }
