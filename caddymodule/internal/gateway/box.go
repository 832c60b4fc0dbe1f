package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// box is the outbox, with what it can do found out once. Its calls have the contract's deadlines, and report what fails.
type box struct {
	outbox.Box
	queue     outbox.Queue     // nil if it keeps nothing
	ledger    outbox.Ledger    // nil if it remembers no events
	voucher   outbox.Voucher   // nil if it does not remember who took pushes
	claimer   outbox.Claimer   // nil if no other gateways share it
	inspector outbox.Inspector // nil if it cannot be looked into

	observer Observer
	doubts   atomic.Int64 // calls that it did not answer in time, and that are made again
}

func newBox(b outbox.Box, o Observer) *box {
	found := &box{Box: b, observer: o}
	found.queue, _ = b.(outbox.Queue)
	found.ledger, _ = b.(outbox.Ledger)
	found.voucher, _ = b.(outbox.Voucher)
	found.claimer, _ = b.(outbox.Claimer)
	found.inspector, _ = b.(outbox.Inspector)
	return found
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

// isUnsure reports whether it is not known what a change did.
func isUnsure(err error) bool {
	return errors.Is(err, outbox.ErrUnsure) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// accept takes a push over.
func (b *box) accept(e outbox.Entry) error {
	return b.change("accepting a push", func(ctx context.Context) error { return b.Accept(ctx, e) })
}

// effectOf is what an error says about a change.
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

// discard removes what else waits for a device whose death is on record.
func (b *box) discard(c *cargo) {
	if b.queue != nil {
		_ = b.change("discarding the pushes of a dead pushkey", func(ctx context.Context) error {
			return b.queue.Discard(ctx, c.app.Pattern, c.key, c.push.Device.PushkeyTS)
		})
	}
}

// waiting reports whether a device has pending pushes. Where that cannot be told, it may be delivered out of order rather than not at all.
func (b *box) waiting(c *cargo) bool {
	ctx, cancel := context.WithTimeout(context.Background(), outbox.AskTime)
	defer cancel()
	waits, err := b.Waiting(ctx, c.app.Pattern, c.key)
	b.failed("looking for pushes of a device", err)
	return waits
}

// claim asks the other gateways for an event. Where they cannot be asked, it may be delivered twice rather than not at all.
func (b *box) claim(event eventKey) outbox.Claim {
	if b.claimer == nil {
		return outbox.Claimed
	}
	ctx, cancel := context.WithTimeout(context.Background(), outbox.AskTime)
	defer cancel()
	claim, err := b.claimer.Claim(ctx, event)
	if err != nil {
		b.failed("claiming an event", err)
		return outbox.Claimed
	}
	return claim
}

// unclaim lets other gateways deliver an event.
func (b *box) unclaim(event eventKey) {
	if b.claimer != nil {
		_ = b.change("giving up an event", func(ctx context.Context) error { return b.claimer.Unclaim(ctx, event) })
	}
}

// maxRousing is how many apps are roused at a time.
const maxRousing = 16

// rouse lets all that waits for apps' providers be tried now. It takes no longer than one call, however many apps there are.
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

// rouseHost lets pushes for a host be tried now: of so many devices, or of all if most is 0. It returns for how many.
func (b *box) rouseHost(app *App, host string, most int) (due int) {
	if b.queue != nil {
		_ = b.change("rousing pushes", func(ctx context.Context) (err error) {
			due, err = b.queue.RouseHost(ctx, app.Pattern, host, most)
			return err
		})
	}
	return due
}

// rouseDevice lets a device's pushes be tried now, and reports whether it has some.
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
