// Command quickstart runs Caddy with the gateway and Caddyfile.example, and a push service with a subscriber that prints the pushes:
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/matrix-push/caddy-matrix-push"
	"github.com/matrix-push/caddy-matrix-push/examples/subscriber/subscriber"
)

const (
	gateway = "https://localhost:8443"
	config  = "Caddyfile.example"
)

func main() {
	server := subscriber.New(subscriber.Options{Origin: gateway, RequireVAPID: true})
	if err := start(server); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
	go explain(server)
	os.Args = []string{"caddy", "run", "--config", config}
	caddycmd.Main() // handles signals, and ends the process
}

// start runs the subscriber as the push server that Caddyfile.example proxies to, until the process ends.
func start(server *subscriber.Server) error {
	ctx := context.Background()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:8081")
	if err != nil {
		return fmt.Errorf("the subscriber: %w", err)
	}
	go func() {
		if err := server.Serve(ctx, listener); err != nil {
			fmt.Fprintln(os.Stderr, "quickstart:", err)
			os.Exit(1)
		}
	}()
	return nil
}

// explain prints what to do as soon as Caddy listens, so the text is below Caddy's first log lines.
func explain(server *subscriber.Server) {
	for range time.Tick(50 * time.Millisecond) {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", "127.0.0.1:8443")
		if err != nil {
			continue
		}
		_ = conn.Close()
		fmt.Printf(commands, server.UnifiedPush(), server.WebPush().P256dh, server.WebPush().Endpoint, server.WebPush().Auth)
		return
	}
}

// commands has the commands of the README.
const commands = `
── The gateway is ready. To see a notification in your browser, open http://localhost:8080 and press "Turn on", then "Send me one".

Or play the homeserver in another terminal:

UnifiedPush:
  curl -k https://localhost:8443/_matrix/push/v1/notify -d '{"notification":{"event_id":"$1","room_id":"!room:example.org","prio":"high","counts":{"unread":1},"devices":[{"app_id":"org.example.android","pushkey":"%s"}]}}'

Web Push, encrypted for the subscriber:
  curl -k https://localhost:8443/_matrix/push/v1/notify -d '{"notification":{"event_id":"$2","room_id":"!room:example.org","type":"m.room.message","sender":"@alice:example.org","content":{"msgtype":"m.text","body":"hello"},"devices":[{"app_id":"org.example.web","pushkey":"%s","data":{"endpoint":"%s","auth":"%s"}}]}}'

── To stop, press Ctrl+C.

`
