package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// AppConfig is one app: the provider that delivers to it, and the policy for it.
type AppConfig struct {
	// The provider: a module of the namespace `matrix_push.providers`. Required.
	ProviderRaw json.RawMessage `json:"provider,omitempty" caddy:"namespace=matrix_push.providers inline_key=name"`

	// How long a request waits for the provider's verdict, at most 25s. A push without a verdict by then goes to the outbox, or is
	// answered so that the homeserver sends it again. 0 answers as soon as the outbox has it. Default: the provider's, which is 0 for
	// `apns` with an outbox, and 5s otherwise.
	Wait *caddy.Duration `json:"wait,omitempty"`

	// How long a notification is worth delivering, counted from its acceptance. Default: 24h.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// How much of a notification may leave: `event_id_only` (ids, counts and priority, whatever the homeserver sent) or `full`.
	// Default: the provider's.
	Content string `json:"content,omitempty"`

	// Which counts are delivered: `on` (badge updates, and counts with events), `with_events` (counts with events, and no badge updates) or
	// `off` (no counts at all). Default: the provider's, which is `with_events` for `webpush`, as browsers cancel a subscription that gets
	// pushes without a notification to show, and `on` otherwise.
	Badges string `json:"badges,omitempty"`

	// How many pushes of the app may be in flight at a time; three times as many more may wait for their turn. Where devices choose the push
	// server, a host has at most 80 of them, a domain half, and all those together that never took a push an eighth. Default: 512.
	Concurrency int `json:"concurrency,omitempty"`
}

const (
	maxWait            = 25 * time.Second // less than the 30 s that Dendrite waits for an answer
	defaultTTL         = 24 * time.Hour
	defaultConcurrency = 512
	// queuePerSlot is how many more pushes may wait for their turn, for each that is in flight. Of a push service that takes a second, the last in
	// the queue has its answer after four, within the five that requests wait. One that takes longer is in trouble, and what comes then is better off
	// in the outbox, or with the homeserver.
	queuePerSlot = 3
)

func (c *AppConfig) provision(ctx caddy.Context, pattern string, keepsNothing bool) (*gateway.App, error) {
	if c == nil || c.ProviderRaw == nil {
		return nil, errors.New("provider is missing")
	}
	name, err := moduleName(c.ProviderRaw)
	if err != nil {
		return nil, err
	}
	mod, err := loadProvider(ctx, name, c.ProviderRaw)
	if err != nil {
		return nil, fmt.Errorf("provider %q: %w", name, err)
	}
	c.ProviderRaw = nil // as LoadModule does: it is not wanted any more
	provider, ok := mod.(providers.Provider)
	if !ok {
		return nil, fmt.Errorf("provider %q: module %T is not a provider", name, mod)
	}
	app := &gateway.App{Pattern: pattern, ProviderName: name, Provider: provider}
	if err := c.policy(app, keepsNothing); err != nil {
		return nil, err
	}
	return app, nil
}

// policy checks the policy's options, and sets what they leave open.
func (c *AppConfig) policy(app *gateway.App, keepsNothing bool) error {
	var err error
	if app.Wait, err = c.wait(app, keepsNothing); err != nil {
		return err
	}
	app.TTL = time.Duration(c.TTL)
	switch {
	case c.TTL < 0:
		return fmt.Errorf("ttl: %s is negative", app.TTL)
	case c.TTL == 0:
		app.TTL = defaultTTL
	}
	switch c.Content {
	case "":
		app.Content = providers.ContentDefault
	case "event_id_only":
		app.Content = providers.ContentIDs
	case "full":
		app.Content = providers.ContentFull
	default:
		return fmt.Errorf("content: %q is neither event_id_only nor full", c.Content)
	}
	switch c.Badges {
	case "":
		app.Badges = app.DefaultBadges()
	case "on":
		app.Badges = providers.BadgesOn
	case "with_events":
		app.Badges = providers.BadgesWithEvents
	case "off":
		app.Badges = providers.BadgesOff
	default:
		return fmt.Errorf("badges: %q is none of on, with_events and off", c.Badges)
	}
	concurrency := c.Concurrency
	switch {
	case concurrency < 0:
		return fmt.Errorf("concurrency: %d is negative", concurrency)
	case concurrency == 0:
		concurrency = defaultConcurrency
	}
	app.Limit = limit.NewFair(concurrency, queuePerSlot*concurrency)
	return nil
}

func (c *AppConfig) wait(app *gateway.App, keepsNothing bool) (time.Duration, error) {
	if c.Wait == nil {
		d := app.DefaultWait()
		switch {
		case d < 0 || d > maxWait:
			return 0, fmt.Errorf("the provider's default wait: %s is not between 0s and %s", d, maxWait)
		case d == 0 && keepsNothing:
			return gateway.DefaultWait, nil
		}
		return d, nil
	}
	wait := time.Duration(*c.Wait)
	switch {
	case wait < 0 || wait > maxWait:
		return 0, fmt.Errorf("wait: %s is not between 0s and %s", wait, maxWait)
	case wait == 0 && keepsNothing:
		return 0, errors.New("wait: 0s needs an outbox, and there is none")
	}
	return wait, nil
}

// moduleName is the name of the guest module that a configuration asks for.
func moduleName(raw json.RawMessage) (string, error) {
	var guest struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(raw, &guest); err != nil {
		return "", errors.New("provider is not an object")
	}
	if guest.Name == "" {
		return "", errors.New("provider.name is missing")
	}
	return guest.Name, nil
}
