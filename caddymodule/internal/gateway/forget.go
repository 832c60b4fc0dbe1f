package gateway

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

// Forget removes the record of a device because the operator knows that it is alive, and reports whether there was one.
func (g *Gateway) Forget(ctx context.Context, k rejected.Key) (known bool, err error) {
	_, err = g.Rejected.Get(ctx, k)
	if errors.Is(err, rejected.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := g.Rejected.Forget(ctx, k); err != nil {
		return true, err
	}
	g.Shared.suspects.forget(k)
	return true, nil
}

// ForgetSince removes the records of an app's pushkeys that were first rejected at a time or later. It undoes a mistake in the settings
// that did not trip the fuse. It reads one page of the store's records. It returns how many it removed, and the cursor of the next
// page, which is empty at the end.
func (g *Gateway) ForgetSince(
	ctx context.Context, lister rejected.Lister, app string, since time.Time, q rejected.Query,
) (n int, next string, err error) {
	page, next, err := lister.List(ctx, q)
	if err != nil {
		return 0, "", err
	}
	var group errgroup.Group
	group.SetLimit(maxWithdrawn)
	for _, e := range page {
		if e.Record.App != app || e.Record.Verdicts == 0 || e.Record.FirstSeen.Before(since) {
			continue
		}
		n++
		group.Go(func() error { return g.Rejected.Forget(ctx, e.Key) })
	}
	return n, next, group.Wait()
}
