package redis

import (
	"context"
	"sync"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// lease waits until devices are due, and leases them.
func (q *queue) lease(ctx context.Context, app string, n int) ([]outbox.Leased, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		changed := q.wakers.of(app)
		leased, next, err := q.take(ctx, app, n)
		if err != nil || len(leased) > 0 {
			return leased, err
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take leases the devices that are due. If none is, it returns when to look again. It removes entries that have become unreadable, as
// nobody can deliver them. The end of the context does not interrupt it: otherwise nobody would have the leased entries until the leases
// lapse.
func (q *queue) take(ctx context.Context, app string, n int) (leased []outbox.Leased, next time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outbox.AskTime)
	defer cancel()
	answer, err := q.ask(ctx, leaseScript, q.keys.of(app), q.owner, n, outbox.LeaseTime.Milliseconds())
	if err != nil {
		return nil, 0, err
	}
	v := read(answer)
	ms := v.number()
	if err := v.err(); err != nil {
		return nil, 0, err
	}
	for len(v.rest) > 0 {
		r := outbox.Ref{App: app, Device: deviceOf(v.text()), ID: v.text()}
		push, attempts := v.text(), v.number()
		if q.owed.has(r) {
			_ = q.settle(ctx, r) // on an error, it is retried later
			continue
		}
		e, err := decode(push)
		if err != nil {
			q.unreadable(ctx, r)
			continue
		}
		q.Hold(e.ID)
		leased = append(leased, outbox.Leased{Entry: *e, Attempts: int(attempts)})
	}
	next = pollInterval
	if ms >= 0 && ms < pollInterval.Milliseconds() {
		next = time.Duration(ms * int64(time.Millisecond))
	}
	return leased, next, nil
}

// unreadable logs an entry that cannot be read, and removes it. A device that cannot be read stays.
func (q *queue) unreadable(ctx context.Context, r outbox.Ref) {
	q.Log().Error("unreadable entry in the outbox", "app", r.App)
	if r.ID == "" {
		return
	}
	if err := q.settle(ctx, r); err != nil {
		q.Log().Error("an unreadable entry cannot be removed from the outbox", "app", r.App, "error", err)
	}
	q.losses.Lost(r.App, outbox.LossUnreadable, 1)
}

// wakers wake those who wait for an app's entries when this process has changed something.
type wakers struct {
	mu      sync.Mutex
	changed map[string]chan struct{} // by app; closed when something may be due
	closed  bool
}

func newWakers() wakers { return wakers{changed: make(map[string]chan struct{})} }

// of returns a channel that is closed at the next change.
func (w *wakers) of(app string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.changed[app]
	if c == nil {
		c = make(chan struct{})
		w.changed[app] = c
		if w.closed {
			close(c)
		}
	}
	return c
}

func (w *wakers) wake(app string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.changed[app]; c != nil && !w.closed {
		close(c)
		delete(w.changed, app)
	}
}

// close wakes everybody.
func (w *wakers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	for _, c := range w.changed {
		close(c)
	}
}
