package gateway

import (
	"context"
	"errors"
	"sync/atomic"
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

// call has the provider make an attempt, and hands its outcome to then, once: without the provider, on another goroutine, if Push goes on for
// too long after its time, which ctx must have. The push must have an outcome, its request's memory must be free for those of other apps, and
// its entry in the outbox must be tried again. The call itself cannot be ended.
func (a *App) call(ctx context.Context, p *providers.Push, then func(providers.Outcome)) {
	if a.overdue.Load() >= maxOverdue {
		then(providers.Unreachable("overdue", errOverdue))
		return
	}
	var over atomic.Bool
	deadline, _ := ctx.Deadline()
	late := time.AfterFunc(time.Until(deadline)+overdueAfter, func() {
		if over.CompareAndSwap(false, true) {
			a.overdue.Add(1)
			then(providers.Unreachable("overdue", errOverdue))
		}
	})
	o := a.push(ctx, p)
	if over.CompareAndSwap(false, true) {
		late.Stop()
		then(o)
	} else {
		a.overdue.Add(-1)
	}
}
