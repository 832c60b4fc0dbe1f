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

// AppConfig configures an app: the provider that delivers to it, and its policy.
type AppConfig struct {
	// The provider: a module of the namespace `matrix_push.providers`. Required.
	ProviderRaw json.RawMessage `json:"provider,omitempty" caddy:"namespace=matrix_push.providers inline_key=name"`

	// How long a request waits for a push to be delivered or rejected, at most 25s. After that, the push goes to the outbox. Without
	// an outbox, the answer is 503, so the homeserver sends it again. With 0, a request is answered as soon as the push is in the outbox.
	// Default: the provider's, which is 0 for `apns` with an outbox, and 5s otherwise.
	Wait *caddy.Duration `json:"wait,omitempty"`

	// How long a notification is worth delivering, counted from when the gateway accepted it. Default: 24h.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// How much of a notification is sent to the push service: `event_id_only` (IDs, counts and priority, even if the homeserver sent
	// more) or `full`. Default: the provider's.
	Content string `json:"content,omitempty"`

	// Which counts are delivered: `on` (badge updates, and counts with events), `with_events` (counts with events, but no badge updates)
	// or `off` (no counts). Default: the provider's, which is `with_events` for `webpush` and `on` otherwise. Browsers cancel a
	// subscription that gets pushes without a notification to show.
	Badges string `json:"badges,omitempty"`

	// How many pushes of the app may be in flight at the same time. Three times as many may wait for a free slot. If devices choose the
	// push server, one host gets at most 80 slots, and one domain at most half of all. All hosts that never accepted a push share
	// an eighth. Default: 512.
	Concurrency int `json:"concurrency,omitempty"`
}

const (
	maxWait            = 25 * time.Second // less than the 30 s that Dendrite waits for an answer
	defaultTTL         = 24 * time.Hour
	defaultConcurrency = 512
	// queuePerSlot is how many pushes may wait for a free slot, per push in flight. If a push service takes a second, the last push in the
	// queue is answered after four seconds, within the five that requests wait. If it takes longer, it has a problem, and new pushes
	// are better kept in the outbox, or by the homeserver.
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

// policy checks the policy's options and sets the defaults.
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
		return fmt.Errorf("badges: %q is not valid: use on, with_events or off", c.Badges)
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
		return 0, errors.New("wait: 0s needs an outbox: use a longer wait, or turn on the outbox")
	}
	return wait, nil
}

// moduleName returns the name of the guest module in a configuration.
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
