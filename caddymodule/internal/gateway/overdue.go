package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

const (
	// overdueAfter is how long a call of a provider may take to return after its context is done.
	overdueAfter = 5 * time.Second
	// maxOverdue limits the overdue calls of one app. At the limit, the app's provider is not called until one of them returns.
	maxOverdue = 64
)

// errStarting is the error for a provider whose Start does not return in time. Its configuration is not loaded.
var errStarting = errors.New("the provider's Start did not return in time: report this to the provider's author")

// errOverdue is the error of a push for which the provider's Push did not return in time, or was not called because of such pushes.
var errOverdue = errors.New("the provider's Push did not return in time: report this to the provider's author")

// errExited is the error of a push whose goroutine the provider ended with [runtime.Goexit].
var errExited = errors.New("the provider ended the goroutine of its Push: report this to the provider's author")

// call has the provider make an attempt, and passes the outcome to the function then, once. ctx must have a deadline. If Push still has not
// returned overdueAfter past it, another goroutine passes errOverdue to then. So every push has an outcome, the memory of its request
// becomes free, and its entry in the outbox is retried. Nothing can end the provider's call itself.
func (a *App) call(ctx context.Context, p *providers.Push, then func(providers.Outcome)) {
	if a.overdue.Load() >= maxOverdue {
		then(providers.Unreachable("overdue", errOverdue))
		return
	}
	o := providers.Busy("panic", errExited) // unless Push returns
	var over atomic.Bool
	deadline, _ := ctx.Deadline()
	late := time.AfterFunc(time.Until(deadline)+overdueAfter, func() {
		if over.CompareAndSwap(false, true) {
			a.overdue.Add(1)
			then(providers.Unreachable("overdue", errOverdue))
		}
	})
	defer func() {
		if over.CompareAndSwap(false, true) {
			late.Stop()
			then(o)
		} else {
			a.overdue.Add(-1)
		}
	}()
	o = a.push(ctx, p)
}
