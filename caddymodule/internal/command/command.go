// Package command is `caddy matrix-push`: what an operator asks of a gateway that runs, through Caddy's admin API, and what needs none.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// The exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
	exitFound  = 3
)

const long = `Looks after the Matrix push gateway of this Caddy.

All but check and vapid-keygen ask the Caddy that runs, through its admin API:
at --address, or where --config says, or at localhost:2019.

Exit codes: 0 all is well; 1 it failed, or the gateway cannot be reached or is
not ready; 2 wrong usage; 3 it worked, and found what should not be: a test
notification that was not delivered, a pushkey that is on record as dead, or
with --strict anything to look into.`

// New makes the command. Inspect tells what a provisioned configuration is like, for check.
func New(inspect func(caddy.Context) (*Plan, error)) caddycmd.Command {
	return caddycmd.Command{
		Name:  "matrix-push",
		Usage: "<command>",
		Short: "Looks after the Matrix push gateway",
		Long:  long,
		CobraFunc: func(cmd *cobra.Command) {
			(&program{now: time.Now, terminal: isTerminal, inspect: inspect}).addTo(cmd)
		},
	}
}

// program is the command, and what it knows of the world.
type program struct {
	now func() time.Time
	// terminal says whether what is written there is read by a person.
	terminal func(io.Writer) bool
	inspect  func(caddy.Context) (*Plan, error)

	json, strict             bool
	address, config, adapter string
	// code is the exit code.
	code int
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// addTo adds the subcommands and what they have in common.
func (p *program) addTo(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.BoolVar(&p.json, "json", false, "Print JSON")
	flags.StringVar(&p.address, "address", "", "The address of the admin API; default: that of --config, or localhost:2019")
	flags.StringVarP(&p.config, "config", "c", "", "The configuration file to read the address from")
	flags.StringVarP(&p.adapter, "adapter", "a", "", "The name of the configuration's adapter")
	cmd.SetFlagErrorFunc(p.misused)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return p.misused(cmd, fmt.Errorf("unknown command %q", args[0]))
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(p.status(), p.send(), p.rejected(), p.outbox(), p.fuse(), p.vapidKey(), p.vapidKeygen(), p.check())
}

// group makes a command of subcommands alone.
func (p *program) group(use, short string, subcommands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return p.misused(cmd, fmt.Errorf("unknown command %q", args[0]))
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(subcommands...)
	return cmd
}

// leaf makes a command that does something. It takes between min and max arguments.
func (p *program) leaf(use, short, long string, least, most int, run func(*invocation) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return p.misused(cmd, errors.New("an argument is missing: "+cmd.UseLine()))
		case len(args) > most:
			return p.misused(cmd, fmt.Errorf("there is an argument too many: %s", cmd.UseLine()))
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.ended(cmd, run(p.invoked(cmd, args)))
	}
	return cmd
}

// invocation is one run of a command.
type invocation struct {
	*program
	ctx      context.Context
	args     []string
	in       io.Reader
	out, err io.Writer
	style    style
	progress *progress
}

func (p *program) invoked(cmd *cobra.Command, args []string) *invocation {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	out, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	return &invocation{
		program: p, ctx: ctx, args: args, in: cmd.InOrStdin(), out: out, err: stderr,
		style: style{coloured: p.terminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"},
		// What comes in the end is not to be mixed with it.
		progress: &progress{w: stderr, shown: p.terminal(stderr)},
	}
}

// errFound is the error of a command that worked, and found what should not be. It has been said.
var errFound = errors.New("found what should not be")

// usageError is a mistake of the caller's.
type usageError struct{ error }

func misuse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// misused tells the caller of a mistake.
func (p *program) misused(cmd *cobra.Command, err error) error { return p.ended(cmd, usageError{err}) }

// ended says in one sentence what went wrong, and ends the command with the exit code for it.
func (p *program) ended(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	p.code = exitFailed
	var usage usageError
	switch {
	case errors.Is(err, errFound):
		p.code = exitFound
	case errors.As(err, &usage):
		p.code = exitUsage
		fmt.Fprintf(cmd.ErrOrStderr(), "Error: %s\nSee %s --help\n", printable(err.Error()), cmd.CommandPath())
	default:
		fmt.Fprintf(cmd.ErrOrStderr(), "Error: %s\n", printable(err.Error()))
	}
	if p.code == exitFailed {
		return err
	}
	// Caddy reads other exit codes out of an error that it alone can make.
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return p.code, nil })(cmd, nil)
}
