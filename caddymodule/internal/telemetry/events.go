package telemetry

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// The events that the gateway emits through Caddy's events app. Their data have neither pushkeys nor content.
const (
	// eventPushkeyRejected: app, provider, reason, pushkey_hash.
	eventPushkeyRejected = "pushkey_rejected"
	// eventAppMisconfigured: app, provider, reason. At most once a minute for each.
	eventAppMisconfigured = "app_misconfigured"
	// eventFuseTripped: app, host, pushkeys. The app is empty for devices of unknown apps; the host is there if it is about one alone.
	eventFuseTripped = "fuse_tripped"
	// eventFuseReset: app, host, by_operator.
	eventFuseReset = "fuse_reset"
	// eventBreakerOpened and eventBreakerClosed: app, provider.
	eventBreakerOpened = "breaker_opened"
	eventBreakerClosed = "breaker_closed"
	// eventExpiring: app, provider, expiry (RFC 3339), expired.
	eventExpiring = "credential_expiring"
)

// maxEvents bounds the events that wait for a handler that takes its time.
const maxEvents = 256

// Events hands events to Caddy's events app, one after the other: its handlers may take their time, and pushes don't wait for them.
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

// NewEvents returns the events of a configuration that is being provisioned. live returns those of the configuration that serves, nil if
// there is none.
func NewEvents(ctx caddy.Context, live func() *Events) (*Events, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	e := &Events{app: app.(*caddyevents.App), ctx: ctx, live: live, queue: make(chan event, maxEvents), ready: make(chan struct{})}
	e.retired, e.retire = context.WithCancel(context.Background())
	return e, e.app.On("started", started{e})
}

// started is the handler that learns when all apps have started.
type started struct{ *Events }

// Handle implements caddyevents.Handler.
func (s started) Handle(context.Context, caddy.Event) error {
	close(s.ready)
	return nil
}

// AllStarted is closed when all of Caddy's apps have started, and with them the events app.
func (e *Events) AllStarted() <-chan struct{} { return e.ready }

// Emit has an event handled, by the configuration that took over if this one is retired. What does not fit into the queue is left out.
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

// Run emits the events until Retire.
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

// Retire leaves the events to the configuration that took over.
func (e *Events) Retire() { e.retire() }

// pass hands what is left to the configuration that took over.
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
