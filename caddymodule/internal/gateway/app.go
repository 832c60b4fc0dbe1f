package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// App is one configured app: a pattern of app_ids, the provider that serves them, and the policy for them.
type App struct {
	// Pattern is as configured: what logs and metrics call the app.
	Pattern string
	// ProviderName is the provider's module name, such as "webpush".
	ProviderName string
	Provider     providers.Provider
	// Wait is how long a request waits for a verdict.
	Wait time.Duration
	// TTL is how long a notification is worth delivering.
	TTL     time.Duration
	Content providers.Content
	Badges  bool
	// Limit bounds the pushes in flight.
	Limit *limit.Limiter

	// proven says that the provider took a push with the app's current settings.
	proven atomic.Bool
}

// workers is how many of the app's pushes may come from the outbox at a time; the others are left for new ones.
func (a *App) workers() int64 { return max(1, int64(a.Limit.Size()/2)) }

// attemptTimeout bounds one attempt: longer than any homeserver's patience, short enough that a stuck one holds no slot for long.
const attemptTimeout = 30 * time.Second

// attempt makes one attempt to deliver a push, within the app's bounds, unless where it goes is known to be down.
func (g *Gateway) attempt(a *App, p *providers.Push) providers.Outcome {
	k := breakerKey{app: a.Pattern, host: a.host(p.Device)}
	b := g.Shared.breakers.of(k)
	before := b.State()
	if before == gobreaker.StateOpen {
		return broken() // without a place in the queue behind those that wait for it
	}
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	if err := a.Limit.Acquire(ctx); err != nil {
		return providers.Retry("app_busy", 0, err)
	}
	defer a.Limit.Release()
	finish, err := b.Allow()
	if err != nil {
		return broken()
	}
	o := a.push(ctx, p)
	finish(fault(o))
	switch after := b.State(); {
	case before == gobreaker.StateClosed && after == gobreaker.StateOpen:
		g.Observer.BreakerOpened(a, k.host)
	case before == gobreaker.StateHalfOpen && after == gobreaker.StateClosed:
		g.Observer.BreakerClosed(a, k.host)
		g.rouse(a)
	}
	return o
}

// host is where a push for the device goes; empty if all pushes of the app go to one service.
func (a *App) host(d *providers.Device) string {
	if h, ok := a.Provider.(providers.Hoster); ok {
		return h.Host(d)
	}
	return ""
}

// push asks the provider.
func (a *App) push(ctx context.Context, p *providers.Push) (o providers.Outcome) {
	defer func() {
		if r := recover(); r != nil { // a third party's provider must not take down all of Caddy
			o = providers.Retry("panic", 0, fmt.Errorf("the provider panicked with a %T", r))
		}
	}()
	o = a.Provider.Push(ctx, p)
	if o.Kind == providers.KindDelivered {
		a.proven.Store(true)
	}
	return o
}

// errNoBadges explains a badge update that is not delivered.
var errNoBadges = errors.New("this device or app wants no badge updates")

// view is the notification as this device may see it, after the app's content and badges options; nil if it may see nothing.
func (a *App) view(n *providers.Notification, d *providers.Device) *providers.Notification {
	if !a.Badges || disablesBadge(d) {
		if n.Badge {
			return nil
		}
		n = n.WithoutCounts()
	}
	content := a.Content
	if content == providers.ContentDefault {
		content = providers.ContentIDs
		if p, ok := a.Provider.(providers.ContentDefaulter); ok {
			content = p.DefaultContent(d)
		}
	}
	if content == providers.ContentFull {
		return n
	}
	return n.Reduced()
}

// disablesBadge says whether the client counts for itself,
// https://github.com/matrix-org/matrix-spec-proposals/pull/4076.
func disablesBadge(d *providers.Device) bool {
	if !bytes.Contains(d.Data, []byte("disable_badge_count")) {
		return false
	}
	var data struct {
		Stable   any `json:"disable_badge_count"`
		Unstable any `json:"org.matrix.msc4076.disable_badge_count"`
	}
	if json.Unmarshal(d.Data, &data) != nil {
		return false
	}
	return data.Stable == true || data.Unstable == true
}
