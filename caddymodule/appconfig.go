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

// AppConfig configures one app: the provider that delivers its pushes, and how its pushes are handled.
type AppConfig struct {
	// The provider that delivers the app's pushes: a module in the namespace `matrix_push.providers`. Required.
	ProviderRaw json.RawMessage `json:"provider,omitempty" caddy:"namespace=matrix_push.providers inline_key=name"`

	// How long a homeserver's request waits for its push to be delivered or rejected: at most 25s. If neither happens in that time, the push
	// goes to the outbox. Without an outbox, the gateway answers 503, so the homeserver sends the push again. With 0, requests don't wait: the
	// gateway answers as soon as the push is in the outbox. Default: the provider's default, which is 0 for `apns` with an outbox, and 5s in
	// all other cases.
	Wait *caddy.Duration `json:"wait,omitempty"`

	// How long the gateway tries to deliver a push after it accepted the push. After that, the push expires. Default: 24h.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// How much of a notification the gateway sends to the push service. `event_id_only` sends only IDs, counts and the priority, even if the
	// homeserver sent more. `full` sends everything. Default: the provider's default.
	Content string `json:"content,omitempty"`

	// Which counts (unread messages and missed calls) the gateway delivers. A badge update is a push that has only counts and no event. `on`
	// delivers badge updates, and the counts of events. `with_events` delivers the counts of events, but no badge updates. `off` delivers no
	// counts. Browsers cancel a subscription that gets badge updates, because they show no notification. Default: the provider's default,
	// which is `with_events` for `webpush` and `on` for all others.
	Badges string `json:"badges,omitempty"`

	// How many pushes of the app the gateway may send at the same time. Each push that is being sent takes one slot. Up to three times as many
	// pushes may wait for a free slot. If devices choose the push server, one host gets at most 80 slots, and one domain at most half of all
	// slots. All hosts that have never accepted a push share an eighth of the slots. Default: 512. With `apns` and `fcm`, the default grows up
	// to 2,048 if the push service takes so many at the same time. Then fewer pushes may wait: with the default, at most 2,048 pushes are being
	// sent or wait.
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
		return nil, fmt.Errorf("provider is missing%s", pushProviders.there())
	}
	name, err := pushProviders.nameIn(c.ProviderRaw)
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
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
		return fmt.Errorf("ttl: %s is negative: use a duration above 0, such as 1d", app.TTL)
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
		return fmt.Errorf("concurrency: %d is negative: use a number above 0", concurrency)
	case concurrency == 0:
		concurrency, app.Elastic = defaultConcurrency, true
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
