package gateway

import (
	"context"
	"slices"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// AppStatus is how an app is.
type AppStatus struct {
	// App is its pattern.
	App      string `json:"app"`
	Provider string `json:"provider"`
	// Breaker is closed, open or half-open; absent where devices choose the host: then OpenHosts is how many are left alone.
	Breaker   string `json:"breaker,omitempty"`
	OpenHosts int    `json:"open_hosts,omitempty"`
	// InFlight is how many attempts are under way, those that wait for their turn included.
	InFlight int        `json:"in_flight"`
	Fuse     FuseStatus `json:"fuse"`
	// Outbox is absent if it could not tell.
	Outbox *OutboxStatus `json:"outbox,omitempty"`
	// CredentialExpiry is when the credential in use ends; absent if it does not.
	CredentialExpiry *time.Time `json:"credential_expiry,omitempty"`
	// Proven says that the push service took a push with the current settings: only then are doubtful rejections believed.
	Proven        bool       `json:"proven"`
	LastDelivered *time.Time `json:"last_delivered,omitempty"`
	// Troubles are why pushes were not delivered since the process began, the latest first.
	Troubles []Trouble `json:"troubles"`
}

// OutboxStatus is how much of an app's waits.
type OutboxStatus struct {
	Entries int `json:"entries"`
	Devices int `json:"devices"`
	// Oldest is when the oldest entry was accepted; absent if there is none.
	Oldest *time.Time `json:"oldest,omitempty"`
}

// Status is how each app is. It asks no push service.
func (g *Gateway) Status(ctx context.Context) []AppStatus {
	depths, known := g.Depths(ctx)
	apps := g.Router.Apps()
	status := make([]AppStatus, len(apps))
	for i, app := range apps {
		s := AppStatus{
			App: app.Pattern, Provider: app.ProviderName, InFlight: g.Shared.inFlight(app),
			Fuse: g.Shared.Fuses.of(app.Pattern).status(app.Pattern), Proven: app.proven.Load(), Troubles: []Trouble{},
		}
		s.Breaker, s.OpenHosts = g.Shared.breakers.state(app)
		if p, ok := app.Provider.(providers.Expirer); ok {
			s.CredentialExpiry = present(p.CredentialExpiry())
		}
		delivered, troubles := g.Shared.journal.of(app)
		s.LastDelivered = present(delivered)
		s.Troubles = append(s.Troubles, troubles...)
		if known {
			s.Outbox = &OutboxStatus{}
		}
		for _, d := range depths {
			if d.App == app.Pattern {
				s.Outbox = &OutboxStatus{d.Entries, d.Devices, present(d.Oldest)}
			}
		}
		status[i] = s
	}
	return status
}

// Degradation is something that an operator should look into, though the gateway answers.
type Degradation struct {
	// App is the pattern of the app; empty if it is not one's, such as the fuse for devices of unknown apps.
	App string `json:"app"`
	// Reason is breaker_open, fuse_tripped, credential_expired, misconfigured or outbox_unreadable.
	Reason string `json:"reason"`
	// Detail is the trouble that makes an app misconfigured.
	Detail string `json:"detail,omitempty"`
	// Since is since when; absent if that is not known.
	Since *time.Time `json:"since,omitempty"`
}

// Degradations are what does not work as it should, by the status of the apps. Nobody is asked.
func (g *Gateway) Degradations(apps []AppStatus) []Degradation {
	degraded := []Degradation{}
	add := func(app, reason string, since *time.Time) {
		degraded = append(degraded, Degradation{App: app, Reason: reason, Since: since})
	}
	_, inspected := g.Outbox.(outbox.Inspector)
	if inspected && slices.ContainsFunc(apps, func(s AppStatus) bool { return s.Outbox == nil }) {
		add("", "outbox_unreadable", nil)
	}
	if unknown := g.Shared.Fuses.of(unknownApps).status(unknownApps); unknown.Tripped != nil {
		add("", "fuse_tripped", unknown.Tripped)
	}
	for _, s := range apps {
		if s.Breaker == gobreaker.StateOpen.String() {
			add(s.App, "breaker_open", nil)
		}
		if s.Fuse.Tripped != nil {
			add(s.App, "fuse_tripped", s.Fuse.Tripped)
		}
		if end := s.CredentialExpiry; end != nil && !end.After(g.Now()) {
			add(s.App, "credential_expired", end)
		}
		if t, ok := s.refused(); ok {
			degraded = append(degraded, Degradation{App: s.App, Reason: "misconfigured", Detail: t.Reason, Since: &t.First})
		}
	}
	return degraded
}

// refused is the latest trouble of the app's that its settings explain, if nothing was delivered after it.
func (s *AppStatus) refused() (t Trouble, ok bool) {
	i := slices.IndexFunc(s.Troubles, func(t Trouble) bool { return t.settings })
	if i < 0 || s.LastDelivered != nil && s.LastDelivered.After(s.Troubles[i].Last) {
		return t, false
	}
	return s.Troubles[i], true
}

// present is a time for JSON: absent if there is none.
func present(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Depths is how much waits for each app, and whether that is known. Apps that nothing waits for are missing, and such as are not
// configured any more may be there.
func (g *Gateway) Depths(ctx context.Context) (depths []outbox.Depth, known bool) {
	box, ok := g.Outbox.(outbox.Inspector)
	if !ok {
		return nil, false
	}
	depths, err := box.Depths(ctx)
	if err != nil {
		g.outboxFailed("looking at the outbox", err)
		return nil, false
	}
	return depths, true
}
