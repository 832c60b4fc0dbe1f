// Package losses passes on what a box removed without being asked to. It implements [outbox.Loser].
package losses

import (
	"sync/atomic"

	"github.com/matrix-push/caddy-matrix-push/outbox"
)

// Report is the function that one configuration's box got. Boxes embed it.
type Report struct {
	lost func(app string, why outbox.Loss, entries int)
}

// OnLoss implements outbox.Loser.
func (r *Report) OnLoss(lost func(app string, why outbox.Loss, entries int)) { r.lost = lost }

// Current is the report of the newest live configuration. The zero value is ready to use. It is safe for concurrent use.
type Current struct{ newest atomic.Pointer[Report] }

// Use makes a report the current one.
func (c *Current) Use(r *Report) { c.newest.Store(r) }

// Lost reports that entries of an app were removed.
func (c *Current) Lost(app string, why outbox.Loss, entries int) {
	if r := c.newest.Load(); r != nil && r.lost != nil && entries > 0 {
		r.lost(app, why, entries)
	}
}
