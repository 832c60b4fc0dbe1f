package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// Plan is what a provisioned configuration would do.
type Plan struct {
	Rejected, Outbox PlannedStore
	// Warnings are those that are not about a particular app.
	Warnings []string
	Apps     []PlannedApp
	// Close releases what was provisioned.
	Close func()
}

// PlannedStore is the rejected store or the outbox of a Plan.
type PlannedStore struct {
	// Module is the name of the store's module.
	Module string
	// Found is what was found without asking a server: [CheckOK], [CheckInUse], or empty if nothing can be found out that way.
	Found string
	// Check asks the store's server whether the store can be used; nil if it has no server. Its error wraps the contract's ErrUnreachable if
	// there was no answer.
	Check func(context.Context) error
	// Describe is that of [outbox.Describer] or [rejected.Describer]; nil if there are no servers.
	Describe func(context.Context) []string
	// Move is that of [outbox.Mover]; nil if there is nothing to move.
	Move func(ctx context.Context, tell func(moved int)) error
}

// PlannedApp is an app of a Plan.
type PlannedApp struct {
	App, Provider, Content string
	Wait, TTL              time.Duration
	// CredentialExpiry is when the credential expires; zero if it never does.
	CredentialExpiry time.Time
	Warnings         []string
	// Check tests the credentials; nil if there is nothing to test. Its error wraps providers.ErrUnreachable if there was no answer.
	Check func(context.Context) error
}

// report is the result of check.
type report struct {
	Valid bool `json:"valid"`
	// Error is why the configuration does not load.
	Error    string        `json:"error,omitempty"`
	Rejected string        `json:"rejected,omitempty"`
	Outbox   string        `json:"outbox,omitempty"`
	Stores   []storeReport `json:"stores,omitempty"`
	Apps     []appReport   `json:"apps"`
	Warnings []string      `json:"warnings"`
}

// storeReport is the result of the check of a store.
type storeReport struct {
	// Store is rejected or outbox.
	Store string `json:"store"`
	// Check is ok, in_use, failed, unreachable, nothing_to_check, or not_checked if only --live can check the store.
	Check string `json:"check"`
	Error string `json:"error,omitempty"`
	// Servers describes the store's servers, in lines for a person; absent without --live, and if there are none.
	Servers []string `json:"servers,omitempty"`
}

type appReport struct {
	App      string `json:"app"`
	Provider string `json:"provider"`
	// Settings are the provider's options that determine where pushes go, as configured.
	Settings         map[string]string `json:"settings"`
	Content          string            `json:"content"`
	Wait             string            `json:"wait"`
	TTL              string            `json:"ttl"`
	CredentialExpiry time.Time         `json:"credential_expiry,omitzero"`
	Warnings         []string          `json:"warnings"`
	// Live is the result of asking the push service: ok, failed, unreachable or nothing_to_check; absent without --live.
	Live      string `json:"live,omitempty"`
	LiveError string `json:"live_error,omitempty"`
}

func (p *program) check() *cobra.Command {
	var live bool
	var within time.Duration
	cmd := p.leaf("check", "Checks a configuration without sending any push",
		`Checks whether a configuration loads, and warns about settings that are probably
wrong. It sends no push. You can run it while Caddy is running. It checks the
file given with --config, or the Caddyfile in the current directory.

It also checks whether the user who runs it can read and write the files of the
outbox and the rejected store. Run it as the user that runs Caddy.

With --live, it also asks each push service whether it accepts the credentials,
and checks whether the gateway can use Redis. Some push services offer no way to
check the credentials. No device gets a push.

Exits with 1 if the configuration does not load or a check with --live fails.
If there are only warnings, it exits with 0, or with 3 if --strict is set.`, 0, 0, func(i *invocation) error { return check(i, live, within) })
	cmd.Flags().BoolVar(&live, "live", false, "Ask the push services whether they accept the credentials, and check whether Redis can be used")
	cmd.Flags().DurationVar(&within, "timeout", 20*time.Second, "The time limit for --live")
	cmd.Flags().BoolVar(&p.strict, "strict", false, "Exit with 3 if there are warnings")
	return cmd
}

func check(i *invocation, live bool, within time.Duration) error {
	quiet()
	log, err := newLogFile()
	if err != nil {
		return err
	}
	defer log.remove()
	r, plan, err := i.provision(log)
	if err != nil {
		if i.json {
			_ = i.encode(report{Error: err.Error(), Apps: []appReport{}, Warnings: []string{}})
		}
		return err
	}
	defer plan.Close()
	if live {
		i.ask(plan, r, within)
	}
	r.Warnings = append(r.Warnings, log.warnings()...)
	if i.json {
		err = i.encode(r)
	} else {
		i.report(r, live)
	}
	switch {
	case err != nil:
		return err
	case r.problems() != "":
		return errors.New(r.problems())
	case i.strict && r.warned():
		return errFound
	}
	return nil
}

// provision loads the configuration as `caddy validate` does. It starts nothing.
func (i *invocation) provision(log *logFile) (*report, *Plan, error) {
	input, _, _, err := caddycmd.LoadConfig(i.config, i.adapter)
	if err != nil {
		return nil, nil, err
	}
	if len(input) == 0 {
		return nil, nil, misuse("no configuration found: set --config, or run it in a directory with a Caddyfile")
	}
	input = caddy.RemoveMetaFields(input)
	var config *caddy.Config
	if err := caddy.StrictUnmarshalJSON(input, &config); err != nil {
		return nil, nil, fmt.Errorf("decoding the configuration: %w", err)
	}
	written, err := readConfig(input)
	if err != nil {
		return nil, nil, err
	}
	config.Logging = log.logging()
	ctx, err := caddy.ProvisionContext(config)
	if err != nil {
		return nil, nil, err
	}
	plan, err := i.inspect(ctx)
	if err != nil {
		return nil, nil, err
	}
	r := &report{
		Valid: true, Rejected: plan.Rejected.Module, Outbox: plan.Outbox.Module, Apps: make([]appReport, len(plan.Apps)),
		Stores:   []storeReport{{Store: "rejected", Check: plan.Rejected.found()}, {Store: "outbox", Check: plan.Outbox.found()}},
		Warnings: append(append([]string{}, plan.Warnings...), written.warnings()...),
	}
	for n, app := range plan.Apps {
		r.Apps[n] = appReport{
			App: app.App, Provider: app.Provider, Settings: written.settings(app.App), Content: app.Content, Wait: app.Wait.String(),
			TTL: app.TTL.String(), CredentialExpiry: app.CredentialExpiry, Warnings: append([]string{}, app.Warnings...),
		}
	}
	return r, plan, nil
}

func (r *report) warned() bool {
	n := len(r.Warnings)
	for _, app := range r.Apps {
		n += len(app.Warnings)
	}
	return n > 0
}

// report prints the report as text.
func (i *invocation) report(r *report, live bool) {
	i.say(green, "The configuration is valid.")
	i.say(plain, "Store of rejected pushkeys: %s. Outbox: %s.", r.Stores[0].text(r.Rejected), r.Stores[1].text(r.Outbox))
	for _, s := range r.Stores {
		for _, line := range s.Servers {
			i.say(plain, "%s: %s", s.Store, line)
		}
		if s.Error != "" {
			i.say(red, "%s: %s", s.Store, s.Error)
		}
	}
	fmt.Fprintln(i.out)
	header := []string{"APP", "PROVIDER", "SETTINGS", "CONTENT", "WAIT", "TTL", "CREDENTIAL EXPIRES"}
	if live {
		header = append(header, "LIVE")
	}
	t := newTable(header...)
	for _, app := range r.Apps {
		row := cells(app.App, app.Provider, settingsText(app.Settings), app.Content, app.Wait, app.TTL, i.when(app.CredentialExpiry))
		switch {
		case !live:
		case app.Live == CheckOK:
			row = append(row, cell{"ok", green})
		case app.Live == checkFailed:
			row = append(row, cell{"failed: " + app.LiveError, red})
		case app.Live == checkUnreachable:
			row = append(row, cell{app.LiveError, red})
		default:
			row = append(row, cell{"nothing to check", plain})
		}
		t.add(row...)
	}
	t.write(i.out, i.style)
	if r.warned() {
		fmt.Fprintln(i.out)
	}
	for _, warning := range r.Warnings {
		i.say(yellow, "Warning: %s", warning)
	}
	for _, app := range r.Apps {
		for _, warning := range app.Warnings {
			i.say(yellow, "Warning: app %s: %s", app.App, warning)
		}
	}
}
