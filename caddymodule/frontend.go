package caddymodule

import (
	"context"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Claim returns the app with exactly this pattern, or nil if there is none. It is for Caddy apps that receive notifications in another way
// than through a site, and must be called before the app starts.
func (a *App) Claim(pattern string) *gateway.App {
	app := a.gateway.Router.Configured(pattern)
	if app != nil {
		app.Elsewhere = true
	}
	return app
}

// Patterns returns the patterns of all apps.
func (a *App) Patterns() (patterns []string) {
	for _, app := range a.gateway.Router.Apps() {
		patterns = append(patterns, app.Pattern)
	}
	return patterns
}

// Deliver delivers a notification that did not come through a site, to its only device, and returns what became of it. The notification
// holds so many bytes of memory.
func (a *App) Deliver(ctx context.Context, n *providers.Notification, d providers.Device, size int) gateway.Result {
	if !a.ready(ctx) {
		return gateway.Unavailable
	}
	hand := a.gateway.Shared.Hand()
	defer hand.Close()
	if !hand.ForBody(size) {
		return gateway.Unavailable
	}
	r := &gateway.Request{Notification: n, Devices: []providers.Device{d}, Hand: hand}
	answer := a.gateway.Notify(r, providers.Site{}, func(*gateway.App) bool { return true })
	for result, devices := range answer.Results {
		if devices > 0 {
			return gateway.Result(result)
		}
	}
	return gateway.Unavailable
}

// Usable reports whether anything could ever be delivered to a device.
func (a *App) Usable(d *providers.Device) bool {
	app := a.gateway.Router.Route(d.AppID)
	return app != nil && app.Usable(d, providers.Site{}) == nil
}

// HoldRetired counts a node of an XMPP component by whether its key is retired. It reports whether so many are that no registration must
// end, and whether that alerts the operator. The fuse's options apply.
func (a *App) HoldRetired(component string, node [16]byte, retired bool) (held, alarm bool) {
	return a.gateway.Shared.Fuses.HoldNode(component, node, retired, a.gateway.Fuse, a.gateway.Now())
}

// Emit emits an event through Caddy's events app, as the gateway's own.
func (a *App) Emit(name string, data map[string]any) { a.events.Emit(name, data) }
