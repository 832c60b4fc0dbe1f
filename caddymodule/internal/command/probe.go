package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/doctor"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/homeserver"
)

// probeFlags are the flags of doctor's probe.
type probeFlags struct {
	on, yes bool
	second  string
}

func (f *probeFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.on, "probe", false, "Make the homeserver send a notification to this gateway, and show whether it arrives")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "With --probe, don't ask before the account is changed for some seconds")
	cmd.Flags().StringVar(&f.second, "from-token-file", "",
		"With --probe, a file with the access token of a second account, which writes to the user: for homeservers that send no unread counts")
}

// prepare adds the probe to an examination, if it is asked for. Until end is called, Ctrl-C ends the examination's context, so the probe can
// remove what it made. A second Ctrl-C ends the command at once.
func (f *probeFlags) prepare(i *invocation, account *accountFlags, o *doctor.Options) (end func(), err error) {
	switch {
	case !f.on && (f.yes || f.second != ""):
		return nil, misuse("--yes and --from-token-file need --probe")
	case !f.on:
		return func() {}, nil
	case f.second == "-" && (account.token == "-" || account.tokenFile == "-"):
		return nil, misuse("only one token can be read from standard input: write --from-token-file with a file")
	}
	c, err := i.client()
	if err != nil {
		return nil, err
	}
	o.Prober = prober{c}
	if f.second != "" {
		token, err := readInput("--from-token-file", f.second, i.in, maxToken)
		if err != nil {
			return nil, err
		}
		if o.Second, err = homeserver.New(account.address, string(token)); err != nil {
			return nil, fmt.Errorf("--from-token-file: %w", err)
		}
	}
	if !f.yes {
		if err := f.confirm(i); err != nil {
			return nil, err
		}
	}
	ctx, stop := signal.NotifyContext(i.ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	i.ctx = ctx
	context.AfterFunc(ctx, stop)
	return stop, nil
}

// The questions before a probe.
const (
	probeQuestion = "The homeserver will send a notification to this gateway. For that, this command gives the account a temporary pusher and a private " +
		"room, and writes a message there. After some seconds, it removes the pusher and the room. Until then, the user's other clients may " +
		"show the room."
	secondQuestion = " All devices of the user get a notification of the second account's invitation and message."
)

// confirm asks whether to change the account. Without a terminal, nobody can answer.
func (f *probeFlags) confirm(i *invocation) error {
	in, ok := i.in.(*os.File)
	if !ok || !i.terminal(in) {
		return misuse("--probe changes the account for some seconds, and there is no terminal to ask: add --yes")
	}
	question := probeQuestion
	if f.second != "" {
		question += secondQuestion
	}
	fmt.Fprint(i.err, style{}.fit(i.width(i.err)).wrapped(0, question)+"\nContinue? [y/N] ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("not confirmed: nothing was changed")
	}
	return nil
}

// prober makes probes with the admin API.
type prober struct{ *adminclient.Client }

func (p prober) Probe(ctx context.Context) (*gateway.Probe, error) {
	probe := new(gateway.Probe)
	_, err := p.Post(ctx, "probe", struct{}{}, adminclient.Patience, probe)
	return probe, err
}

func (p prober) Seen(ctx context.Context, pushkey string) (*gateway.Sightings, error) {
	seen := new(gateway.Sightings)
	_, err := p.Post(ctx, "probe/seen", map[string]string{"pushkey": pushkey}, adminclient.Patience, seen)
	return seen, err
}
