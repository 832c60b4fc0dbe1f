package gateway

import (
	"context"
	"slices"
	"time"

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
	// PausedHosts is how many hosts that devices chose are left alone for a while since they throttled several devices; absent if none is.
	PausedHosts int `json:"paused_hosts,omitempty"`
	// InFlight is how many attempts are under way, those that wait for their turn included.
	InFlight int        `json:"in_flight"`
	Fuse     FuseStatus `json:"fuse"`
	// Outbox is absent if it could not tell.
	Outbox *OutboxStatus `json:"outbox,omitempty"`
	// CredentialExpiry is when the credential in use ends; absent if it does not.
	CredentialExpiry *time.Time `json:"credential_expiry,omitempty"`
	// Proven says that the push service took a push with the current settings: only then are doubtful rejections believed.
	Proven bool `json:"proven"`
	// Suspected is how many pushkeys look dead without proof, as far as this process has seen: their pushes wait.
	Suspected int `json:"suspected,omitempty"`
	// Failing is since when pushes fail, if the latest ones all did for a while and nothing was delivered; absent if that is not so.
	Failing       *time.Time `json:"failing,omitempty"`
	LastDelivered *time.Time `json:"last_delivered,omitempty"`
	// WrongKeys are the hosts, up to 5, that refuse the key that the app signs with, as devices subscribed with another one; absent if there
	// are none.
	WrongKeys []WrongKeys `json:"wrong_keys,omitempty"`
	// Troubles are why pushes were not delivered since the process began, the latest first.
	Troubles []Trouble `json:"troubles"`
}

// OutboxStatus is how much of an app's waits.
type OutboxStatus struct {
	Entries int `json:"entries"`
	Devices int `json:"devices"`
	// Oldest is when the oldest entry was accepted; absent if there is none.
	Oldest *time.Time `json:"oldest,omitempty"`
	// Full says that the app's room is used up: all of it, but for what strangers have, as that makes way.
	Full bool `json:"full,omitempty"`
}

// Status is how each app is. It asks no push service.
func (g *Gateway) Status(ctx context.Context) []AppStatus {
	depths, known := g.Depths(ctx)
	apps := g.Router.Apps()
	status := make([]AppStatus, len(apps))
	for i, app := range apps {
		s := AppStatus{
			App: app.Pattern, Provider: app.ProviderName, InFlight: int(app.hosts.flying.Load()),
			Fuse: app.fuse.status(app.Pattern), Proven: app.proven.Load(), Suspected: g.Shared.suspects.count(app.Pattern),
			Failing: present(app.hosts.failing()), CredentialExpiry: present(app.CredentialExpiry()), Troubles: []Trouble{},
		}
		s.Breaker, s.OpenHosts = app.breakers()
		delivered, troubles := g.Shared.journal.of(app)
		s.LastDelivered = present(delivered)
		for _, t := range troubles {
			t.Alarm = t.Alarm && (!t.settings || t.goesOn(app, delivered))
			s.Troubles = append(s.Troubles, t)
		}
		s.PausedHosts, s.WrongKeys = app.hosts.pausing(g.Now), app.hosts.wrongKeys(app.load)
		if known {
			s.Outbox = &OutboxStatus{}
		}
		for _, d := range depths {
			if d.App == app.Pattern {
				s.Outbox = &OutboxStatus{d.Entries, d.Devices, present(d.Oldest), d.Full}
			}
		}
		status[i] = s
	}
	return status
}

// breakers are the state of the breaker and how many hosts are left alone: the one or the other, as devices choose the host or not.
func (a *App) breakers() (state string, open int) {
	state, open = a.hosts.state()
	if _, ok := a.Provider.(providers.Hoster); ok && state == breakerClosed {
		state = ""
	}
	return state, open
}

// Degradation is something that an operator should look into, though the gateway answers.
type Degradation struct {
	// App is the pattern of the app; empty if it is not one's, such as the fuse for devices of unknown apps.
	App string `json:"app"`
	// Reason is failing, breaker_open, fuse_tripped, credential_expired, misconfigured, outbox_full or outbox_unreadable.
	Reason string `json:"reason"`
	// Detail is the trouble that makes an app misconfigured, and Word the push service's own word for it.
	Detail string `json:"detail,omitempty"`
	Word   string `json:"word,omitempty"`
	// Since is since when; absent if that is not known.
	Since *time.Time `json:"since,omitempty"`
}

// Degradations are what does not work as it should, by the status of the apps. Nobody is asked.
func (g *Gateway) Degradations(apps []AppStatus) []Degradation {
	degraded := []Degradation{}
	add := func(app, reason string, since *time.Time) {
		degraded = append(degraded, Degradation{App: app, Reason: reason, Since: since})
	}
	if g.box.inspector != nil && slices.ContainsFunc(apps, func(s AppStatus) bool { return s.Outbox == nil }) {
		add("", "outbox_unreadable", nil)
	}
	if unknown := g.Shared.Fuses.of(unknownApps).status(unknownApps); unknown.Alarm != nil {
		add("", "fuse_tripped", unknown.Alarm)
	}
	for _, s := range apps {
		if s.Failing != nil {
			add(s.App, "failing", s.Failing)
		}
		if s.Breaker == breakerOpen || s.Breaker == breakerHalfOpen {
			add(s.App, "breaker_open", nil)
		}
		if s.Fuse.Alarm != nil { // what strangers can cause is shown, and no degradation
			add(s.App, "fuse_tripped", s.Fuse.Alarm)
		}
		if end := s.CredentialExpiry; end != nil && !end.After(g.Now()) {
			add(s.App, "credential_expired", end)
		}
		if since := present(g.Shared.refusals.since(s.App, g.Now())); since != nil || s.Outbox != nil && s.Outbox.Full {
			add(s.App, "outbox_full", since)
		}
		if t, ok := s.refused(); ok {
			degraded = append(degraded, Degradation{App: s.App, Reason: "misconfigured", Detail: t.Reason, Word: t.Word, Since: &t.First})
		}
	}
	return degraded
}

// refused is the latest trouble of the app's that its settings explain, if it goes on.
func (s *AppStatus) refused() (t Trouble, ok bool) {
	i := slices.IndexFunc(s.Troubles, func(t Trouble) bool { return t.settings && t.Alarm })
	if i < 0 {
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
	if g.box.inspector == nil {
		return nil, false
	}
	depths, err := g.box.inspector.Depths(ctx)
	if err != nil {
		g.box.failed("looking at the outbox", err)
		return nil, false
	}
	return depths, true
}
