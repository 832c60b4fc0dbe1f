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
	plan := &command.Plan{
		Rejected: caddy.GetModuleName(app.gateway.Rejected), Outbox: caddy.GetModuleName(app.gateway.Outbox),
		Warnings: append(warnings(app.gateway), otherHosts(ctx)...), Close: app.release,
	}
	sites := mounts(ctx)
	for _, a := range app.gateway.Router.Apps() {
		if err := a.Mounted(publicHosts(sites, a)); err != nil { // as when the configuration goes live
			plan.Close()
			return nil, fmt.Errorf("app %q: %w", a.Pattern, err)
		}
		plan.Apps = append(plan.Apps, planned(a, time.Now()))
	}
	return plan, nil
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
