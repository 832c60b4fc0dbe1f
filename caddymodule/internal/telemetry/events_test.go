package telemetry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// queued returns the events of a configuration whose handlers are slow.
func queued(t *testing.T, live func() *Events) *Events {
	t.Helper()
	e := &Events{live: live, queue: make(chan event, maxEvents), ready: make(chan struct{})}
	e.retired, e.retire = context.WithCancel(t.Context())
	return e
}

// handler handles events, each when the test lets it.
type handler struct {
	may     chan struct{}
	handled []string
}

func (h *handler) Handle(_ context.Context, e caddy.Event) error {
	<-h.may
	h.handled = append(h.handled, e.Name())
	return nil
}

func TestEventsOfAConfigurationThatEndedGoToTheOneThatTookOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next := queued(t, nil)
		e := queued(t, func() *Events { return next })
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		defer cancel()
		e.app, e.ctx = new(caddyevents.App), ctx
		h := &handler{may: make(chan struct{})}
		if err := errors.Join(e.app.Provision(ctx), e.app.On("", h)); err != nil {
			t.Fatal(err)
		}
		const before = 20
		for range before {
			e.Emit("before it ended", nil)
		}
		go e.Run()
		synctest.Wait()
		if len(e.queue) != before {
			t.Errorf("%d events wait until the handlers are there", len(e.queue))
		}
		close(e.ready)
		synctest.Wait() // the first one is being handled
		e.Retire()
		e.Emit("afterwards", map[string]any{"app": "a"})
		if got := <-next.queue; got.name != "afterwards" || got.data["app"] != "a" {
			t.Errorf("it is %v", got)
		}
		close(h.may)
		synctest.Wait()
		if n := len(h.handled) + len(next.queue); n != before || len(h.handled) == 0 {
			t.Errorf("%d were handled before it ended, and %d later, want %d", len(h.handled), len(next.queue), before)
		}
	})
}

func TestEventsThatNobodyTakesOverAreLeftOut(t *testing.T) {
	t.Parallel()
	var e *Events
	for name, live := range map[string]func() *Events{
		"none is live": func() *Events { return nil }, "it is still the one that is live": func() *Events { return e },
	} {
		e = queued(t, live)
		e.Retire()
		e.Emit("event", nil)
		if len(e.queue) != 0 {
			t.Errorf("%s: %d are left", name, len(e.queue))
		}
	}
}

func TestMoreEventsThanHandlersTakeHoldUpNobody(t *testing.T) {
	t.Parallel()
	e := queued(t, nil)
	for range maxEvents + 1 {
		e.Emit("event", nil)
	}
	if len(e.queue) != maxEvents {
		t.Errorf("%d are left", len(e.queue))
	}
}
