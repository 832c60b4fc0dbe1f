package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// AppStatus is the state of an app.
type AppStatus struct {
	// App is its pattern.
	App      string `json:"app"`
	Provider string `json:"provider"`
	// Breaker is closed, open or half-open; absent where devices choose the host. Then OpenHosts is how many hosts have an open
	// breaker.
	Breaker   string `json:"breaker,omitempty"`
	OpenHosts int    `json:"open_hosts,omitempty"`
	// PausedHosts is how many hosts that devices chose pause because they throttled several devices; absent if none does.
	PausedHosts int `json:"paused_hosts,omitempty"`
	// InFlight is how many attempts are under way, including those that wait for their turn.
	InFlight int        `json:"in_flight"`
	Fuse     FuseStatus `json:"fuse"`
	// Outbox is absent if the outbox could not be read.
	Outbox *OutboxStatus `json:"outbox,omitempty"`
	// CredentialExpiry is when the credential in use expires; absent if it does not.
	CredentialExpiry *time.Time `json:"credential_expiry,omitempty"`
	// Proven means that the push service took a push with the current settings. Doubtful rejections are believed only then.
	Proven bool `json:"proven"`
	// Content is what leaves for the push service: event_id_only or full.
	Content string `json:"content"`
	// Suspected is how many pushkeys look dead without proof, as far as this process has seen. Their pushes are pending.
	Suspected int `json:"suspected,omitempty"`
	// Failing is since when pushes fail, if the latest attempts all failed for a while and nothing was delivered; absent otherwise.
	Failing *time.Time `json:"failing,omitempty"`
	// FailingWhy is why; nil if it does not fail.
	FailingWhy    *Failing   `json:"-"`
	LastDelivered *time.Time `json:"last_delivered,omitempty"`
	// WrongKeys are up to 5 hosts that refuse the app's key because devices subscribed with another one; absent if there are none.
	WrongKeys []WrongKeys `json:"wrong_keys,omitempty"`
	// Troubles are the reasons why pushes were not delivered since the process began, latest first.
	Troubles []Trouble `json:"troubles"`
}

// OutboxStatus is how many of an app's pushes are pending.
type OutboxStatus struct {
	Entries int `json:"entries"`
	Devices int `json:"devices"`
	// Oldest is when the oldest entry was accepted; absent if there is none.
	Oldest *time.Time `json:"oldest,omitempty"`
	// Full means that the app's room is used up, apart from what strangers have, since their pushes make way.
	Full bool `json:"full,omitempty"`
	// Unreadable names the parts of the outbox that cannot be read; absent if there are none. The other numbers lack what is in these parts.
	Unreadable string `json:"unreadable,omitempty"`
}

// Status returns the state of each app. It does not contact push services.
func (g *Gateway) Status(ctx context.Context) []AppStatus {
	depths, unreadable, known := g.depths(ctx)
	apps := g.Router.Apps()
	status := make([]AppStatus, len(apps))
	for i, app := range apps {
		s := AppStatus{
			App: app.Pattern, Provider: app.ProviderName, Content: app.ContentName(), InFlight: int(app.hosts.flying.Load()),
			Fuse: app.fuse.status(app.Pattern), Proven: app.proven.Load(), Suspected: g.Shared.suspects.count(app.Pattern),
			CredentialExpiry: present(app.CredentialExpiry()), Troubles: []Trouble{},
		}
		if s.FailingWhy = app.hosts.failing(g.Now); s.FailingWhy != nil {
			s.Failing = &s.FailingWhy.Since
		}
		s.Breaker, s.OpenHosts = app.breakers()
		delivered, troubles := g.Shared.journal.of(app)
		s.LastDelivered = present(delivered)
		for _, t := range troubles {
			t.Explanation = app.Explain(t.Reason)
			if t.Alarm = t.calls(app, s.Fuse.Alarm != nil); t.Alarm {
				t.Until = time.Time{}
			}
			s.Troubles = append(s.Troubles, t)
		}
		s.PausedHosts, s.WrongKeys = app.hosts.pausing(g.Now), app.hosts.wrongKeys(app.load)
		if known {
			s.Outbox = &OutboxStatus{Unreadable: unreadable}
		}
		for _, d := range depths {
			if d.App == app.Pattern {
				s.Outbox = &OutboxStatus{d.Entries, d.Devices, present(d.Oldest), d.Full, unreadable}
			}
		}
		status[i] = s
	}
	return status
}

// breakers returns the state of the app's breaker or, where devices choose the host, how many hosts have an open one.
func (a *App) breakers() (state string, open int) {
	state, open = a.hosts.state()
	if _, ok := a.Provider.(providers.Hoster); ok && state == breakerClosed {
		state = ""
	}
	return state, open
}

// Degradation is a problem that an operator should look into, although the gateway works.
type Degradation struct {
	// App is the pattern of the app; empty if no app is concerned, as with the fuse for devices of unknown apps.
	App string `json:"app"`
	// Component is the XMPP component that is concerned; absent if none is.
	Component string `json:"component,omitempty"`
	// Reason is failing, breaker_open, fuse_tripped, credential_expired, misconfigured, outbox_full, outbox_unreadable, outbox_unconfirmed or
	// component_down.
	Reason string `json:"reason"`
	// Detail is the reason of the trouble that makes an app misconfigured, of the latest failure if it fails, or why a component is down. It is
	// the unreadable part of the outbox, if other parts can be read. Word is the push
	// service's own word for the former, and Error describes the latter.
	Detail string `json:"detail,omitempty"`
	Word   string `json:"word,omitempty"`
	Error  string `json:"error,omitempty"`
	// Host is the operator's own push server, if only its pushes fail.
	Host string `json:"host,omitempty"`
	// Explanation is what the detail means and what to do about it; absent if nobody knows.
	Explanation string `json:"explanation,omitempty"`
	// Since is when it began; absent if that is not known.
	Since *time.Time `json:"since,omitempty"`
}

// Degradations returns the problems in the status of the apps. It does not contact push services or stores.
func (g *Gateway) Degradations(apps []AppStatus) []Degradation {
	degraded := []Degradation{}
	add := func(app, reason string, since *time.Time) {
		degraded = append(degraded, Degradation{App: app, Reason: reason, Since: since})
	}
	if i := slices.IndexFunc(apps, AppStatus.unread); g.box.inspector != nil && i >= 0 {
		add("", "outbox_unreadable", nil)
		if part := apps[i].Outbox; part != nil {
			degraded[0].Detail = part.Unreadable
		}
	}
	if d, ok := g.unconfirmed(); ok {
		degraded = append(degraded, d)
	}
	if unknown := g.Shared.Fuses.of(unknownApps).status(unknownApps); unknown.Alarm != nil {
		add("", "fuse_tripped", unknown.Alarm)
	}
	for _, s := range apps {
		if f := s.FailingWhy; f != nil {
			degraded = append(degraded, Degradation{App: s.App, Reason: "failing", Detail: f.Reason, Error: f.Detail, Host: f.Host, Since: s.Failing})
		}
		if s.Breaker == breakerOpen || s.Breaker == breakerHalfOpen {
			add(s.App, "breaker_open", nil)
		}
		if s.Fuse.Alarm != nil { // strangers can cause Tripped, so only Alarm is a degradation
			add(s.App, "fuse_tripped", s.Fuse.Alarm)
		}
		if end := s.CredentialExpiry; end != nil && !end.After(g.Now()) {
			add(s.App, "credential_expired", end)
		}
		if since := present(g.Shared.refusals.since(s.App, g.Now())); since != nil || s.Outbox != nil && s.Outbox.Full {
			add(s.App, "outbox_full", since)
		}
		if t, ok := s.refused(); ok {
			degraded = append(degraded, Degradation{
				App: s.App, Reason: "misconfigured", Detail: t.Reason, Word: t.Word, Explanation: t.Explanation, Since: &t.Since,
			})
		}
	}
	return degraded
}

// unread reports whether the outbox could not be read, or not all of it.
func (s AppStatus) unread() bool { return s.Outbox == nil || s.Outbox.Unreadable != "" }

// refused returns the app's latest trouble that its settings explain, if it goes on.
func (s *AppStatus) refused() (t Trouble, ok bool) {
	i := slices.IndexFunc(s.Troubles, func(t Trouble) bool { return t.settings && t.Alarm })
	if i < 0 {
		return t, false
	}
	return s.Troubles[i], true
}

// present returns a time for JSON, which is absent if it is zero.
func present(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// depths returns how many pushes are pending for each app, whether that is known, and which parts of the outbox cannot be read, if others
// can. Apps without pending pushes are missing, and apps that are no longer configured may be listed.
func (g *Gateway) depths(ctx context.Context) (depths []outbox.Depth, unreadable string, known bool) {
	if g.box.inspector == nil {
		return nil, "", false
	}
	depths, err := g.box.inspector.Depths(ctx)
	if err != nil {
		g.box.failed("looking at the outbox", err)
		var part *outbox.PartError
		if !errors.As(err, &part) {
			return nil, "", false
		}
		unreadable = part.Parts
	}
	return depths, unreadable, true
}
