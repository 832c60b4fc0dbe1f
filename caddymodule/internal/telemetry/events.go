package telemetry

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// The events that the gateway emits through Caddy's events app. Their data contain neither pushkeys nor content.
const (
	// eventPushkeyRejected: app, provider, reason, pushkey_hash.
	eventPushkeyRejected = "pushkey_rejected"
	// eventAppMisconfigured: app, provider, reason. At most once a minute for each.
	eventAppMisconfigured = "app_misconfigured"
	// eventFuseTripped: app, host, pushkeys. The app is empty for devices of unknown apps; host is set if it affects only one push server.
	eventFuseTripped = "fuse_tripped"
	// eventFuseReset: app, host, by_operator.
	eventFuseReset = "fuse_reset"
	// eventBreakerOpened and eventBreakerClosed: app, provider.
	eventBreakerOpened = "breaker_opened"
	eventBreakerClosed = "breaker_closed"
	// eventAppFailing: app, provider, reason, host. The host is set if it is the operator's own push server, and only its pushes fail.
	eventAppFailing = "app_failing"
	// eventAppRecovered: app, provider.
	eventAppRecovered = "app_recovered"
	// eventExpiring: app, provider, expiry (RFC 3339), expired.
	eventExpiring = "credential_expiring"
	// eventComponentUp: component. eventComponentDown: component, reason.
	eventComponentUp   = "xmpp_component_up"
	eventComponentDown = "xmpp_component_down"
)

// maxEvents limits the events that wait for a slow handler.
const maxEvents = 256

// Events passes events to Caddy's events app, one at a time. Its handlers may be slow; pushes don't wait for them.
type Events struct {
	app     *caddyevents.App
	ctx     caddy.Context
	queue   chan event
	live    func() *Events
	ready   chan struct{} // closed when the events app has its subscribers
	retired context.Context
	retire  context.CancelFunc
}

type event struct {
	name string
	data map[string]any
}

// NewEvents returns the events of a configuration that is being provisioned. live returns those of the live configuration, or nil.
func NewEvents(ctx caddy.Context, live func() *Events) (*Events, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	e := &Events{app: app.(*caddyevents.App), ctx: ctx, live: live, queue: make(chan event, maxEvents), ready: make(chan struct{})}
	e.retired, e.retire = context.WithCancel(context.Background())
	return e, e.app.On("started", started{e})
}

// started is the event handler for the start of all apps.
type started struct{ *Events }

// Handle implements caddyevents.Handler.
func (s started) Handle(context.Context, caddy.Event) error {
	close(s.ready)
	return nil
}

// AllStarted returns a channel that is closed when all of Caddy's apps have started, including the events app.
func (e *Events) AllStarted() <-chan struct{} { return e.ready }

// Emit queues an event. If this configuration is retired, it queues the event in the live one. If the queue is full, the event is lost.
func (e *Events) Emit(name string, data map[string]any) {
	if e.retired.Err() != nil {
		live := e.live()
		if live == nil || live == e {
			return
		}
		e = live
	}
	select {
	case e.queue <- event{name, data}:
	default:
	}
}

// Run emits queued events until Retire is called.
func (e *Events) Run() {
	select {
	case <-e.ready:
	case <-e.retired.Done():
		return
	}
	for {
		select {
		case next := <-e.queue:
			e.app.Emit(e.ctx, next.name, next.data)
		case <-e.retired.Done():
			e.pass()
			return
		}
	}
}

// Retire leaves the queued events to the live configuration.
func (e *Events) Retire() { e.retire() }

// pass moves the queued events to the live configuration.
func (e *Events) pass() {
	for {
		select {
		case next := <-e.queue:
			e.Emit(next.name, next.data)
		default:
			return
		}
	}
}
