package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/command"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func init() {
	caddycmd.RegisterCommand(command.New(inspect))
}

// inspect returns what a provisioned configuration would do, with warnings about doubtful settings.
func inspect(ctx caddy.Context) (*command.Plan, error) {
	configured, err := ctx.AppIfConfigured("matrix_push")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, errNoGateway
	}
	if err != nil {
		return nil, err
	}
	app := configured.(*App)
	plan := &command.Plan{Warnings: append(warnings(app.gateway), otherHosts(ctx)...), Close: app.release}
	if err := app.rehearse(ctx, plan); err != nil {
		plan.Close()
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w (run this command as the user that runs Caddy)", err)
		}
		return nil, err
	}
	return plan, nil
}

// rehearse finds out whether Start would succeed, as far as that can be seen on this machine, in the same order. It starts nothing.
func (a *App) rehearse(ctx caddy.Context, plan *command.Plan) (err error) {
	if plan.Rejected, err = plannedStore(ctx, a.gateway.Rejected, rejected.ErrInUse); err != nil {
		return fmt.Errorf("rejected: %w", err)
	}
	if plan.Outbox, err = plannedStore(ctx, a.gateway.Outbox, outbox.ErrInUse); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	sites := mounts(ctx)
	for _, app := range a.gateway.Router.Apps() {
		if err = app.Mounted(publicHosts(sites, app)); err == nil {
			err = app.CheckStart(ctx)
		}
		if err != nil {
			return fmt.Errorf("app %q: %w", app.Pattern, err)
		}
		plan.Apps = append(plan.Apps, planned(app, time.Now()))
	}
	return nil
}

// plannedStore returns what is known of a store without asking its server. An error is why it could not be opened.
func plannedStore(ctx context.Context, store any, inUse error) (p command.PlannedStore, err error) {
	p.Module = caddy.GetModuleName(store)
	if c, ok := store.(interface{ Check(context.Context) error }); ok { // outbox.Checker, rejected.Checker
		p.Check = c.Check
	}
	if d, ok := store.(outbox.Describer); ok { // or rejected.Describer
		p.Describe = d.Describe
	}
	if m, ok := store.(outbox.Mover); ok {
		p.Move = m.Move
	}
	c, ok := store.(interface{ CheckOpen(context.Context) error }) // outbox.OpenChecker, rejected.OpenChecker
	if !ok {
		return p, nil
	}
	switch err := c.CheckOpen(ctx); {
	case err == nil:
		p.Found = command.CheckOK
	case errors.Is(err, inUse):
		p.Found = command.CheckInUse
	default:
		return p, err
	}
	return p, nil
}

// warnings returns warnings about the options that all sites share.
func warnings(g *gateway.Gateway) (list []string) {
	if caddy.GetModuleName(g.Outbox) == "off" {
		list = append(list, "outbox off: a push that is not delivered in time is lost if the homeserver does not send it again; Dendrite does not")
	}
	if caddy.GetModuleName(g.Rejected) == "memory" {
		list = append(list, "rejected memory: dead pushkeys are forgotten at each restart, so pushes are sent to them again")
	}
	if g.Fuse.Share >= 1 {
		list = append(list, "fuse off: one mistake in the configuration can make homeservers remove all pushers")
	}
	if g.Dedupe == 0 {
		list = append(list, "dedupe 0: an event that a homeserver sends again is delivered again")
	}
	return list
}

// planned returns what is known of an app without asking its push service.
func planned(a *gateway.App, now time.Time) command.PlannedApp {
	p := command.PlannedApp{App: a.Pattern, Provider: a.ProviderName, Wait: a.Wait, TTL: a.TTL, Content: a.ContentName()}
	_, encrypts := a.Provider.(providers.ContentDefaulter)
	if a.Content == providers.ContentFull && !encrypts {
		p.Warnings = append(p.Warnings, "content full: the push service can read the notifications")
	}
	if a.Badges == providers.BadgesOn && a.DefaultBadges() != providers.BadgesOn {
		p.Warnings = append(p.Warnings,
			"badges on: browsers cancel subscriptions that get badge updates; use with_events, which sends counts only with events")
	}
	p.CredentialExpiry = a.CredentialExpiry()
	switch left := p.CredentialExpiry.Sub(now); {
	case p.CredentialExpiry.IsZero():
	case left < 0:
		p.Warnings = append(p.Warnings, "the credential has expired")
	case left < telemetry.ExpiryNotice:
		p.Warnings = append(p.Warnings, fmt.Sprintf("the credential expires within %d days", telemetry.ExpiryNotice/(24*time.Hour)))
	}
	if _, can := a.Provider.(providers.Checker); can {
		p.Check = a.Check
	}
	return p
}
