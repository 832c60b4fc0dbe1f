// Command small is Caddy with only some of the gateway's modules. Change the list to those that you need:
//
//	go build -o caddy ./examples/small
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/matrix-push/caddy-matrix-push/caddymodule"
	_ "github.com/matrix-push/caddy-matrix-push/outbox/off"
	_ "github.com/matrix-push/caddy-matrix-push/providers/unifiedpush"
	_ "github.com/matrix-push/caddy-matrix-push/rejected/memory"
)

func main() { caddycmd.Main() }
