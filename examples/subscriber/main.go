// Command subscriber plays a device and its push service. It checks Web Push and UnifiedPush requests as strictly as a real service does,
// decrypts them as the device would, and prints them. Run it behind Caddy's reverse_proxy, so the gateway reaches it on its own site:
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
	flag.StringVar(&o.Origin, "origin", "https://localhost:8443/", "`URL` by which the gateway reaches the subscriber")
	flag.StringVar(&o.CertFile, "cert", "", "PEM `file` of a certificate; without it, the subscriber speaks plain HTTP")
	flag.StringVar(&o.KeyFile, "key", "", "PEM `file` of the certificate's key")
	flag.BoolVar(&o.RequireVAPID, "require-vapid", true, "refuse Web Push without VAPID, as browsers' push services do")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := subscriber.New(o).Run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "subscriber:", err)
		os.Exit(1)
	}
}
