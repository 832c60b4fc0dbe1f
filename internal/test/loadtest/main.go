// Command loadtest measures what a notification costs the gateway, beside the floor: a bare Caddy handler that decodes the same body and
// makes the same request to the push service with a raw HTTP/2 client.
//
//	go run ./internal/test/loadtest -provider apns
//	go run ./internal/test/loadtest -provider webpush -sweep -plot latency.svg
//	go run ./internal/test/loadtest -provider fcm -against ./loadtest-parent
//
// It runs the two in turn, each in a process of its own, and prints medians, their spread and the ratio. The push service, which answers
// with the latency and the share of errors that it is told, is a third process; the homeservers are this one. So CPU, allocations and
// memory are those of the server under test alone. docs/performance.md says how to read what it prints.
//
// With -against, the other side is not the floor but the gateway with other options, or the gateway of another build of this program.
//
// A closed loop (-rate 0) sends the next notification when the one before is answered, and shows how many the server can take. Its latencies
// are service times: nothing was scheduled, so that there is nothing to correct. An open loop (-rate 500, or -rate 50% of what the closed
// loop reached) sends by a schedule of random arrivals, and counts each latency from the moment the notification was due, also
// when it had to wait for a connection: what was not sent because the server was slow is late, and not left out.
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
