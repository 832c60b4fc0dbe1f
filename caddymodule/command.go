package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/command"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
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
		Rejected: guestName(app.gateway.Rejected), Outbox: guestName(app.gateway.Outbox), Warnings: app.warnings(), Close: app.release,
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
func (a *App) warnings() (warnings []string) {
	if guestName(a.gateway.Outbox) == "off" {
		warnings = append(warnings, "outbox off: a push without a verdict in time is lost where a homeserver does not send it again, as Dendrite")
	}
	if guestName(a.gateway.Rejected) == "memory" {
		warnings = append(warnings, "rejected memory: dead pushkeys are forgotten with each restart, and tried again")
	}
	if a.gateway.Fuse.Share >= 1 {
		warnings = append(warnings, "fuse off: a mistake in the settings can cost all pushers at once")
	}
	if a.gateway.Dedupe == 0 {
		warnings = append(warnings, "dedupe 0: what a homeserver sends again is shown again")
	}
	return warnings
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
		p.Warnings = append(p.Warnings, "badges on: browsers cancel subscriptions that get badge updates; with_events sends counts with events only")
	}
	p.CredentialExpiry = a.CredentialExpiry()
	switch left := p.CredentialExpiry.Sub(now); {
	case p.CredentialExpiry.IsZero():
	case left < 0:
		p.Warnings = append(p.Warnings, "the credential has expired")
	case left < expiryNotice:
		p.Warnings = append(p.Warnings, fmt.Sprintf("the credential expires within %d days", expiryNotice/(24*time.Hour)))
	}
	if _, can := a.Provider.(providers.Checker); can {
		p.Check = a.Check
	}
	return p
}

// release cleans up after an app whose configuration does not go live, and which nobody else will.
func (a *App) release() {
	guests := []any{a.gateway.Rejected, a.gateway.Outbox}
	for _, app := range a.gateway.Router.Apps() {
		guests = append(guests, app.Provider)
	}
	for _, guest := range slices.Insert(guests, 0, any(a)) {
		_ = cleanedUp(guest) // the process ends
	}
}
