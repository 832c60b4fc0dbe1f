package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// box wraps the outbox and resolves its optional interfaces once. It adds the contract's deadlines to each call, and reports failures.
type box struct {
	outbox.Box
	queue     outbox.Queue     // nil if it keeps nothing
	prompt    outbox.Prompt    // nil if it may have to ask another program
	ledger    outbox.Ledger    // nil if it does not remember events
	voucher   outbox.Voucher   // nil if it does not remember which devices were delivered to
	claimer   outbox.Claimer   // nil if no other gateways share it
	inspector outbox.Inspector // nil if it cannot be inspected

	observer Observer
	doubts   atomic.Int64 // calls that the outbox did not answer in time, and that are being repeated
}

func newBox(b outbox.Box, o Observer) *box {
	found := &box{Box: b, observer: o}
	found.queue, _ = b.(outbox.Queue)
	found.prompt, _ = b.(outbox.Prompt)
	found.ledger, _ = b.(outbox.Ledger)
	found.voucher, _ = b.(outbox.Voucher)
	found.claimer, _ = b.(outbox.Claimer)
	found.inspector, _ = b.(outbox.Inspector)
	return found
}

// reportLosses has the outbox report the pushes that it drops by itself, and the events that it forgets early.
func (g *Gateway) reportLosses() {
	if forgetter, ok := g.Outbox.(outbox.Forgetter); ok {
		forgetter.OnForget(func(events int) { g.Observer.Forgot(events) })
	}
	loser, ok := g.Outbox.(outbox.Loser)
	if !ok {
		return
	}
	loser.OnLoss(func(pattern string, why outbox.Loss, pushes int) {
		app := g.Router.Configured(pattern)
		if app == nil {
			app = &App{Pattern: pattern}
		} else {
			app.history.count(providers.KindDropped.String(), pushes, g.Shared.minute(g.Now()))
		}
		g.Observer.Lost(app, why, pushes)
	})
}

// failed reports that a call failed.
func (b *box) failed(doing string, err error) {
	if err != nil && !errors.Is(err, outbox.ErrOff) && !errors.Is(err, outbox.ErrFull) {
		b.observer.StoreFailed(doing, err)
	}
}

// change makes a call that changes something, within its deadline.
func (b *box) change(doing string, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), outbox.WriteTime)
	defer cancel()
	err := call(ctx)
	b.failed(doing, err)
	return err
}

// isUnsure reports whether it is unknown if a change happened.
func isUnsure(err error) bool {
	return errors.Is(err, outbox.ErrUnsure) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// accept gives a push to the outbox, and returns the pushes that made way for it.
func (b *box) accept(e outbox.Entry) (displaced []outbox.Ref, err error) {
	err = b.change("accepting a push", func(ctx context.Context) (err error) {
		displaced, err = b.Accept(ctx, e)
		return err
	})
	return displaced, err
}

// effectOf returns the effect of a change that ended with err.
func effectOf(err error) effect {
	switch {
	case err == nil:
		return done
	case isUnsure(err):
		return unsure
	default:
		return failed
	}
}

func (b *box) settle(r outbox.Ref) error {
	return b.change("concluding an attempt", func(ctx context.Context) error { return b.Settle(ctx, r) })
}

func (b *box) release(r outbox.Ref, due time.Time, tried bool) {
	_ = b.change("concluding an attempt", func(ctx context.Context) error { return b.Release(ctx, r, due, tried) })
}

// discard removes the other pending pushes of a device whose death is on record.
func (b *box) discard(c *cargo) {
	if b.queue != nil {
		_ = b.change("discarding the pushes of a dead pushkey", func(ctx context.Context) error {
			return b.queue.Discard(ctx, c.app.Pattern, c.key, c.registered(c.push.Device))
		})
	}
}

// waiting reports whether a device has pending pushes. If the outbox cannot tell, the answer is no: better out of order than not at
// all.
func (b *box) waiting(c *cargo) bool { return b.waitingFor(c.app, c.key) }

func (b *box) waitingFor(app *App, device [16]byte) bool {
	waits, err := b.ask(app.Pattern, device)
	b.failed("looking for pushes of a device", err)
	return waits
}

// ask asks the outbox whether a device has pending pushes, within the deadline of a question.
func (b *box) ask(app string, device [16]byte) (bool, error) {
	if b.prompt != nil {
		return b.prompt.WaitingNow(app, device)
	}
	ctx, cancel := context.WithTimeout(context.Background(), outbox.AskTime)
	defer cancel()
	return b.Waiting(ctx, app, device)
}

// claim claims an event, so no other gateway delivers it. If the outbox cannot answer, the event counts as claimed: better twice than
// not at all.
func (b *box) claim(c *cargo) outbox.Claim {
	if b.claimer == nil {
		return outbox.Claimed
	}
	ctx, cancel := context.WithTimeout(context.Background(), outbox.AskTime)
	defer cancel()
	claim, err := b.claimer.Claim(ctx, c.queue, c.event)
	if err != nil {
		b.failed("claiming an event", err)
		return outbox.Claimed
	}
	return claim
}

// unclaim lets other gateways deliver an event.
func (b *box) unclaim(c *cargo) {
	if b.claimer != nil {
		_ = b.change("giving up an event", func(ctx context.Context) error { return b.claimer.Unclaim(ctx, c.queue, c.event) })
	}
}

// maxRousing is how many apps are roused at the same time.
const maxRousing = 16

// rouse makes all pending pushes of some apps due now. It takes no longer than one call, however many apps there are.
func (b *box) rouse(apps ...*App) {
	if b.queue == nil {
		return
	}
	_ = b.change("rousing pushes", func(ctx context.Context) error {
		var group errgroup.Group
		group.SetLimit(maxRousing)
		for _, app := range apps {
			group.Go(func() error { return b.queue.Rouse(ctx, app.Pattern) })
		}
		return group.Wait()
	})
}

// rouseHost makes the pending pushes for a host due now: those of at most so many devices, or all of them if most is 0. It returns the
// number of devices.
func (b *box) rouseHost(app *App, host string, most int) (due int) {
	if b.queue != nil {
		_ = b.change("rousing pushes", func(ctx context.Context) (err error) {
			due, err = b.queue.RouseHost(ctx, app.Pattern, host, most)
			return err
		})
	}
	return due
}

// rouseDevice makes a device's pending pushes due now, and reports whether it has any.
func (b *box) rouseDevice(app *App, device [16]byte) (found bool) {
	if b.queue == nil {
		return false
	}
	_ = b.change("rousing pushes", func(ctx context.Context) (err error) {
		found, err = b.queue.RouseDevice(ctx, app.Pattern, device)
		return err
	})
	return found
}
