package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// overdueAfter is how long a provider's Push may go on after its context is done.
	overdueAfter = 5 * time.Second
	// maxOverdue is how many calls of an app's that go on are enough: from then on, the provider is called again when one returns.
	maxOverdue = 64
)

// errStarting is why a configuration with a provider that never starts is not loaded.
var errStarting = errors.New("the provider's Start goes on although its time is over: report it to the provider's author")

// errOverdue is what becomes of a push whose attempt goes on for ever.
var errOverdue = errors.New("the provider's Push goes on although its time is over: report it to the provider's author")

// call is one of a provider's Push, on a goroutine of its own.
type call struct {
	outcome  providers.Outcome
	returned chan struct{}
}

func (c *call) make(ctx context.Context, a *App, p *providers.Push) {
	defer close(c.returned)
	c.outcome = a.push(ctx, p)
}

// inTime returns what the provider's Push does, or without it if that goes on for too long: the push must have an outcome, its request's
// memory must be free for those of other apps, and its entry in the outbox must be tried again. The call itself cannot be ended.
func (a *App) inTime(ctx context.Context, p *providers.Push) providers.Outcome {
	if a.overdue.Load() >= maxOverdue {
		return providers.Unreachable("overdue", errOverdue)
	}
	c := call{returned: make(chan struct{})}
	go c.make(ctx, a, p)
	select {
	case <-c.returned:
		return c.outcome
	case <-ctx.Done():
	}
	late := time.NewTimer(overdueAfter)
	defer late.Stop()
	select {
	case <-c.returned:
		return c.outcome
	case <-late.C:
	}
	a.overdue.Add(1)
	go func() {
		<-c.returned
		a.overdue.Add(-1)
	}()
	return providers.Unreachable("overdue", errOverdue)
}
