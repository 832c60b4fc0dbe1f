// Package command implements `caddy matrix-push`: the commands that manage a running gateway through Caddy's admin API, and those that
// work without one.
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

const long = `Inspects and manages the Matrix push gateway in Caddy.

All commands except check, simulate and vapid-keygen connect to the admin API of a
running Caddy. simulate connects to it only with --app-id. The commands use the address given with --address. Without it, they read the
address from the file given with --config. The default is localhost:2019.

Exit codes:
  0  success
  1  the command failed, or the gateway is not reachable or not ready
  2  unknown command, or wrong flags or arguments
  3  the command succeeded, but it found a problem: a test notification was not
     delivered, a pushkey is recorded as dead or is unusable, doctor found why a
     phone does not ring, or with --strict, something needs attention`

// New returns the command. The check command calls inspect to learn what a provisioned configuration would do.
func New(inspect func(caddy.Context) (*Plan, error)) caddycmd.Command {
	return caddycmd.Command{
		Name:  "matrix-push",
		Usage: "<command>",
		Short: "Inspects and manages the Matrix push gateway",
		Long:  long,
		CobraFunc: func(cmd *cobra.Command) {
			(&program{now: time.Now, terminal: isTerminal, width: terminalWidth, inspect: inspect}).addTo(cmd)
		},
	}
}

// program is the command with its dependencies and flags.
type program struct {
	now func() time.Time
	// terminal reports whether a writer is a terminal.
	terminal func(io.Writer) bool
	// width returns how many columns a writer has; 0 if that is not known.
	width   func(io.Writer) int
	inspect func(caddy.Context) (*Plan, error)

	json, strict             bool
	address, config, adapter string
	// code is the exit code.
	code int
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// addTo adds the subcommands and their common flags.
func (p *program) addTo(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.BoolVar(&p.json, "json", false, "Print JSON")
	flags.StringVar(&p.address, "address", "",
		"The address of the admin API, such as localhost:2019 or /run/caddy/admin.sock (default: the address in the file given with --config, or localhost:2019)")
	flags.StringVarP(&p.config, "config", "c", "",
		`The configuration file: "check" validates it, and the other commands read the address of the admin API from it`)
	flags.StringVarP(&p.adapter, "adapter", "a", "", "The config adapter to use for the file given with --config")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return p.misused(cmd, flagError(cmd, err)) })
	p.makeGroup(cmd, p.status(), p.ui(), p.send(), p.simulate(), p.doctor(), p.rejected(), p.outbox(), p.fuse(), p.xmpp(), p.vapidKey(),
		p.vapidKeygen(), p.check())
	setHelp(cmd)
}

// group returns a command that has only subcommands.
func (p *program) group(use, short string, subcommands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	p.makeGroup(cmd, subcommands...)
	return cmd
}

// makeGroup adds subcommands to a command that does nothing else.
func (p *program) makeGroup(cmd *cobra.Command, subcommands ...*cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return p.misused(cmd, commandError(cmd, args[0]))
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(subcommands...)
}

// leaf returns a command without subcommands. It takes between least and most arguments.
func (p *program) leaf(use, short, long string, least, most int, run func(*invocation) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return p.misused(cmd, errors.New("missing argument: "+cmd.UseLine()))
		case len(args) > most:
			return p.misused(cmd, fmt.Errorf("too many arguments: %s", cmd.UseLine()))
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
		style: style{coloured: p.terminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}.fit(p.width(out)),
		// Progress goes to standard error so it does not mix with the result.
		progress: &progress{w: stderr, shown: p.terminal(stderr)},
	}
}

// errFound is the error of a command that succeeded and found a problem. The problem has been printed by then.
var errFound = errors.New("found a problem")

// usageError is a mistake in the command line.
type usageError struct{ error }

func misuse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// misused reports a mistake in the command line.
func (p *program) misused(cmd *cobra.Command, err error) error { return p.ended(cmd, usageError{err}) }

// ended prints what went wrong and sets the exit code.
func (p *program) ended(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	p.code = exitFailed
	const label = "Error: "
	stderr := cmd.ErrOrStderr()
	text := label + style{}.fit(p.width(stderr)).wrapped(len(label), printable(err.Error()))
	var usage usageError
	switch {
	case errors.Is(err, errFound):
		p.code = exitFound
	case errors.As(err, &usage):
		p.code = exitUsage
		fmt.Fprintf(stderr, "%s\nSee %s --help\n", text, cmd.CommandPath())
	default:
		fmt.Fprintln(stderr, text)
	}
	if p.code == exitFailed {
		return err
	}
	// Caddy reads other exit codes from an error type that only it can create.
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return p.code, nil })(cmd, nil)
}
