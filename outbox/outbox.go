// Package outbox is the contract of the durable queue that takes over a push for which there was no verdict in time.
//
// A box is a Caddy module in the namespace matrix_push.outbox that implements [Box].
package outbox

import (
	"context"
	"errors"
	"time"
)

// Box keeps accepted pushes until they are delivered or expire. It is safe for concurrent use.
type Box interface {
	// Accept takes over a push and returns nil when the entry is durable: from then on the push may be answered for. ErrOff and
	// ErrFull say that the box takes nothing, or no more for now; any other error that it is failing. Nothing is half-accepted.
	Accept(ctx context.Context, e Entry) error

	// Settle removes an entry that needs no further attempt: it was delivered, or it never can be.
	Settle(ctx context.Context, id string) error

	// Release gives an entry back that was accepted or leased with a running attempt, to be tried again from due on.
	Release(ctx context.Context, id string, due time.Time) error

	// Waiting says whether the device has entries: a further push for it joins behind them, so that order is kept.
	Waiting(ctx context.Context, device [16]byte) (bool, error)
}

var (
	// ErrOff says that there is no outbox: what has no verdict is answered so that the homeserver tries again.
	ErrOff = errors.New("there is no outbox")
	// ErrFull says that the bound of the app or the device is reached.
	ErrFull = errors.New("the outbox is full")
)

// Entry is one push in the outbox.
type Entry struct {
	// ID is the push's, the same in every attempt.
	ID string
	// App is the pattern of the app it is for.
	App string
	// Device is the hash of app_id and pushkey that the rejected store uses too.
	Device [16]byte
	// Event is the push's key for duplicate suppression; zero if it has none.
	Event [16]byte
	// Badge says that the push is a badge update, of which only a device's newest is worth keeping.
	Badge bool
	// PushkeyTS is the device's, in milliseconds; 0 if it had none.
	PushkeyTS int64
	// Push is the push itself, as the gateway wrote it, after the content policy.
	Push []byte
	// Expires is when it is given up.
	Expires time.Time
	// Running says that an attempt is under way: nothing else may try the entry until Settle or Release.
	Running bool
}
