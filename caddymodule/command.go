package caddymodule

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/command"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/telemetry"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

func init() {
	caddycmd.RegisterCommand(command.New(inspect))
}

// inspect tells what a provisioned configuration would do, and what of it is worth a second look.
func inspect(ctx caddy.Context) (*command.Plan, error) {
	configured, err := ctx.AppIfConfigured("matrix_push")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, errNoGateway
	}
	if err != nil {
		return nil, err
	}
	app := configured.(*App)
	plan := &command.Plan{
		Rejected: caddy.GetModuleName(app.gateway.Rejected), Outbox: caddy.GetModuleName(app.gateway.Outbox),
		Warnings: warnings(app.gateway), Close: app.release,
	}
	sites := mounts(ctx)
	for _, a := range app.gateway.Router.Apps() {
		if err := a.Mounted(publicHosts(sites, a)); err != nil { // as it would when the configuration goes live
			plan.Close()
			return nil, fmt.Errorf("app %q: %w", a.Pattern, err)
		}
		plan.Apps = append(plan.Apps, planned(a, time.Now()))
	}
	return plan, nil
}

// warnings are about what sites share.
func warnings(g *gateway.Gateway) (list []string) {
	if caddy.GetModuleName(g.Outbox) == "off" {
		list = append(list, "outbox off: a push without a verdict in time is lost where a homeserver does not send it again, as Dendrite")
	}
	if caddy.GetModuleName(g.Rejected) == "memory" {
		list = append(list, "rejected memory: dead pushkeys are forgotten with each restart, and tried again")
	}
	if g.Fuse.Share >= 1 {
		list = append(list, "fuse off: a mistake in the settings can cost all pushers at once")
	}
	if g.Dedupe == 0 {
		list = append(list, "dedupe 0: what a homeserver sends again is shown again")
	}
	return list
}

// planned is what is known of an app without asking anybody.
func planned(a *gateway.App, now time.Time) command.PlannedApp {
	p := command.PlannedApp{App: a.Pattern, Provider: a.ProviderName, Wait: a.Wait, TTL: a.TTL}
	_, encrypts := a.Provider.(providers.ContentDefaulter)
	content := a.Content
	if content == providers.ContentDefault {
		content = a.DefaultContent(new(providers.Device))
	}
	p.Content = "event_id_only"
	if content == providers.ContentFull {
		p.Content = "full"
	}
	if a.Content == providers.ContentFull && !encrypts {
		p.Warnings = append(p.Warnings, "content full: the push service can read what it delivers")
	}
	if a.Badges == providers.BadgesOn && a.DefaultBadges() != providers.BadgesOn {
		p.Warnings = append(p.Warnings,
			"badges on: browsers cancel subscriptions that get badge updates; with_events sends counts with events only")
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
