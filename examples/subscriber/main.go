// Command subscriber stands in for a device and its push service: it takes Web Push and UnifiedPush requests as strictly as a real
// service does, decrypts them as the device would, and prints them. Put it behind Caddy's reverse_proxy, so that the gateway finds
// it under the gateway's own name:
//
//	go run ./examples/subscriber -listen 127.0.0.1:8081 -origin https://localhost:8443/
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/matrix-push/caddy-matrix-push/examples/subscriber/subscriber"
)

func main() {
	var o subscriber.Options
	flag.StringVar(&o.Listen, "listen", "127.0.0.1:8081", "`address` to listen on")
	flag.StringVar(&o.Origin, "origin", "https://localhost:8443/", "`URL` that the gateway sees the subscriber at")
	flag.StringVar(&o.CertFile, "cert", "", "PEM `file` of a certificate; plain HTTP without")
	flag.StringVar(&o.KeyFile, "key", "", "PEM `file` of the certificate's key")
	flag.BoolVar(&o.RequireVAPID, "require-vapid", true, "refuse Web Push without VAPID, as browsers' services do")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := subscriber.New(o).Run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "subscriber:", err)
		os.Exit(1)
	}
}
