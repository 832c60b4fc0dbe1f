package command

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/ui"
)

func (p *program) ui() *cobra.Command {
	var port uint16
	cmd := p.leaf("ui", "Shows the gateway in a browser",
		`Serves a page for the browser of this machine, and prints its URL. The page shows
the state of the gateway. It can find and forget pushkeys, retry and drop
pending pushes, reset fuses, and send test pushes.

The URL works once. The page ends with this command.

To open the page on another machine, forward the same port to this machine. For
a fixed port, use --port:

  ssh -t -L 8765:127.0.0.1:8765 push.example.org caddy matrix-push ui --port 8765`, 0, 0, func(i *invocation) error {
			if port == 80 {
				return misuse("--port cannot be 80: browsers leave this port out of the address")
			}
			return serveUI(i, port)
		})
	cmd.Flags().Uint16Var(&port, "port", 0, "The port to listen on (default: a random free port)")
	return cmd
}

// loopback is the address that the page is served on. Only this machine reaches it.
const loopback = "127.0.0.1"

func serveUI(i *invocation, port uint16) error {
	c, err := i.client()
	if err != nil {
		return err
	}
	// The command ends with its terminal, too.
	ctx, stop := signal.NotifyContext(i.ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the command at once
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(int(port))))
	if err != nil {
		return fmt.Errorf("the page cannot be served: %w", err)
	}
	page := ui.New(c, l.Addr().String(), i.now)
	if i.json {
		if err := i.encode(map[string]string{"url": page.URL()}); err != nil {
			return err
		}
	} else {
		i.invite(page.URL(), l.Addr().String())
	}
	return page.Serve(ctx, l)
}

// invite prints how to open the page.
func (i *invocation) invite(url, address string) {
	_, port, _ := net.SplitHostPort(address)
	i.say(plain, "Open this URL in a browser on this machine. It works once:")
	fmt.Fprintln(i.out, "  "+i.style.paint(bold, url))
	i.say(plain, "To open it on another machine, first forward the port there:")
	fmt.Fprintf(i.out, "  ssh -N -L %s:%s <this machine>\n", port, address)
	i.say(plain, "The page ends when you press Ctrl-C.")
}
