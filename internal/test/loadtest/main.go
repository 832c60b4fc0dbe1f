// Command loadtest measures what a notification costs the gateway, compared with the floor. The floor is a bare Caddy handler that decodes the
// same body and makes the same request to the push service with a raw HTTP/2 client.
//
//	go run ./internal/test/loadtest -provider apns
//	go run ./internal/test/loadtest -provider webpush -sweep -plot latency.svg
//	go run ./internal/test/loadtest -provider fcm -against ./loadtest-parent
//	go run ./internal/test/loadtest -provider fcm -xmpp -against http
//	go run ./internal/test/loadtest -provider apns -url http://127.0.0.1:5000/_matrix/push/v1/notify
//
// It runs the two in turn, each in a separate process, and prints medians, their spread and the ratio. The push service is a third process, which
// answers with the given latency and share of errors. The homeservers are this process. So CPU, allocations and memory are only those of the
// server under test. docs/performance.md explains how to read the output.
//
// With -xmpp, the gateway gets the same pushes over the stream of an XMPP component. This process is then the XMPP server.
//
// With -against, the other side is the gateway with other options, or the gateway of another build of this program, instead of the floor.
//
// With -url, another gateway is measured and compared with this one. Somebody else has started it, and configured it with what this program prints.
// Its push service is the same, and its CPU and memory are read from /proc.
//
// A closed loop (-rate 0) sends the next notification when the previous one is answered, and shows the maximum throughput. Its latencies are
// service times. They need no correction, because nothing was scheduled. An open loop (-rate 500, or -rate 50% of the closed loop's throughput)
// sends at random times of a schedule. Each latency counts from when the notification was due, even if it had to wait for a connection. So
// notifications that a slow server delays count as late, and are not left out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/matrix-push/caddy-matrix-push"
)

func main() {
	if role := os.Getenv(roleKey); role != "" {
		exit(play(role))
	}
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, o, os.Stdout))
}

// exit ends the process.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
