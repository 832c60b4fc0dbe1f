package caddymodule

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

// events hands what happens to Caddy's events app, one after the other: its handlers may take their time, and a push does not wait for
// them.
type events struct {
	app     *caddyevents.App
	ctx     caddy.Context
	queue   chan event
	ready   chan struct{} // closed when the events app has its subscribers
	retired context.Context
	retire  context.CancelFunc
}

type event struct {
	name string
	data map[string]any
}

// newEvents makes the way to the events app of a configuration that is being provisioned.
func newEvents(ctx caddy.Context) (*events, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	e := &events{app: app.(*caddyevents.App), ctx: ctx, queue: make(chan event, maxEvents), ready: make(chan struct{})}
	e.retired, e.retire = context.WithCancel(context.Background())
	return e, e.app.On("started", started{e})
}

// started is told when all apps have started, and with them the events app.
type started struct{ *events }

// Handle implements caddyevents.Handler.
func (s started) Handle(context.Context, caddy.Event) error {
	close(s.ready)
	return nil
}

// emit has an event told, by the configuration that took over if this one is retired. More than can be told are left out.
func (e *events) emit(name string, data map[string]any) {
	if e.retired.Err() != nil {
		live := liveApp()
		if live == nil || live.events == e {
			return
		}
		e = live.events
	}
	select {
	case e.queue <- event{name, data}:
	default:
	}
}

// run tells the events until the configuration retires.
func (e *events) run() {
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

// pass hands what is left to the configuration that took over.
func (e *events) pass() {
	for {
		select {
		case next := <-e.queue:
			e.emit(next.name, next.data)
		default:
			return
		}
	}
}
