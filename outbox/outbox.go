// Package outbox is the contract of the durable queue that takes over a push for which there was no verdict in time.
//
// A box is a Caddy module in the namespace matrix_push.outbox that implements [Box], and [Queue] if it keeps anything. Run the suite in
// package outboxtest against your box. The model is a queue for each device, and for each app an order of its devices by when they are
// due. A device is leased as a whole, so its pushes stay in order.
//
// # Room
//
// An app has room for a number of entries and a number of bytes. If there is no room, a push displaces other entries, so one sender
// cannot use up what others need. Where devices choose the host, each entry has a group: the owner of its host.
//
//   - All entries of a group have at most three quarters of the room.
//   - All entries of strangers have at most half of it; a box may give them less.
//   - The proven entries of a group have at most three times the room that all proven entries leave free. So there is room for another
//     group, however many groups somebody makes up.
//   - A push that does not fit displaces entries of a lower standing. The lowest standing goes first, then the group with most entries of
//     that standing, then the newest entry. If its group's share is used up, it displaces entries of its own group.
//   - After that, it displaces entries of its own standing, from a group that has more of them than its own group would have with it.
//   - A proven entry is never displaced, nor is one with an attempt under way.
//   - A push displaces at most 64 entries. If that does not make room, it is refused with [ErrFull], and nothing is displaced.
//
// A box may be divided into parts, by device. Each part then has an equal share of the room, for which these rules hold. Between devices of
// different parts, the order by when they are due is only approximate.
//
// Entries without a group are displaced only by those of a higher standing, and displace none of their own standing. They have no
// shares.
//
// # Calls
//
// A call ends with its context at the latest. The caller sets a deadline of [AskTime] for a question and of [WriteTime] for a change. A
// change that did not end in time returns [ErrUnsure]: it may have happened, or may happen later.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Box accepts pushes. It is safe for concurrent use.
type Box interface {
	// Accept takes over a push. It returns nil when the entry is durable: from then on, the gateway may answer that the push is
	// accepted. [ErrOff] and [ErrFull] mean that the box accepts nothing, or nothing more for now. [ErrUnsure] means that the entry may
	// be in the box, or may arrive there later; accept the same entry again to make sure. After any other error, the entry is not in
	// the box.
	//
	// An entry is not stored twice: if its ID is already in the box, Accept only sets when its device is due. An entry is not stored
	// either if the device already has another entry of the same event. An entry that was settled, discarded or displaced is accepted
	// without being stored, so a late Accept never brings a push back.
	//
	// If there is no room, the same transaction displaces other entries. Those of a lower [Standing] go first, and then those of the
	// same standing, from the [Entry.Group] that has most: see the package's comment. The displaced entries are returned for the caller
	// to report, even with ErrUnsure, as far as they are known. If the answer to that call was lost, the call that makes sure returns
	// them.
	//
	// When the attempt at a Running entry ends, the caller settles or releases the entry, or accepts it again without Running, also
	// after ErrUnsure.
	Accept(ctx context.Context, e Entry) (displaced []Ref, err error)

	// Settle removes an entry that needs no further attempt, and returns when that is durable. The lease on its device ends, and the
	// device's next entry is due at once. It is not an error if the entry is missing. If its Accept is still on its way, that Accept
	// has no effect when it arrives, for at least [LeaseTime]. After an error, the entry may come back with a restart, but not before.
	Settle(ctx context.Context, r Ref) error

	// Release ends the lease on the entry's device, which is due again at the given time. tried reports whether there was an attempt:
	// only then does the device's number of attempts grow.
	Release(ctx context.Context, r Ref, due time.Time, tried bool) error

	// Waiting reports whether the device has entries. Then another push for it joins behind them, so the order is kept.
	Waiting(ctx context.Context, app string, device [16]byte) (bool, error)
}

// Prompt is implemented by a box that always knows from memory whether a device has entries. The question needs no deadline then.
type Prompt interface {
	// WaitingNow does the same as Waiting, without waiting.
	WaitingNow(app string, device [16]byte) (bool, error)
}

// Queue is implemented by a box that keeps what it accepts.
type Queue interface {
	Box

	// Lease waits until devices of the app are due, and returns the oldest entry of each of at most n of them. Nobody else gets these
	// devices' entries until Settle, Release, or [LeaseTime] from now. It waits as long as its context allows, and then returns the
	// context's error.
	Lease(ctx context.Context, app string, n int) ([]Leased, error)

	// Discard removes a device's entries, except those of a later registration, whose PushkeyTS is newer than the given one. Like
	// Settle, it keeps an Accept that is still on its way from having an effect, if the entry's Accepted is before the call.
	Discard(ctx context.Context, app string, device [16]byte, pushkeyTS int64) error

	// Rouse makes all devices of an app due, except leased ones.
	Rouse(ctx context.Context, app string) error

	// RouseHost makes devices due whose oldest entry goes to the host, except leased ones. It stops when most of them are due; 0 means
	// all. It returns how many are due, including those that already were. It begins with other devices each time.
	RouseHost(ctx context.Context, app, host string, most int) (due int, err error)

	// RouseDevice makes a device due, unless it is leased, and reports whether it has entries.
	RouseDevice(ctx context.Context, app string, device [16]byte) (found bool, err error)
}

// Opener is implemented by a box that holds a resource. It is opened when its configuration goes live, not when it is only validated.
// An error fails the load.
type Opener interface {
	Open(ctx context.Context) error
}

// Mover is implemented by a box that keeps its entries in several places, if an option decides in which one.
type Mover interface {
	// Move moves all entries to where this box looks for them. The box is not open. Move keeps other boxes from using the entries meanwhile,
	// and calls tell now and then with the number of entries that were moved. If it was interrupted, it can be called again.
	Move(ctx context.Context, tell func(moved int)) error
}

// Ledger is implemented by a box that remembers delivered events across restarts.
type Ledger interface {
	// Note remembers an event of a device until a time. It is written with the next commit, and Note does not wait for that.
	Note(device, event [16]byte, until time.Time)

	// Recall calls yield for each event that is still remembered.
	Recall(ctx context.Context, yield func(event [16]byte)) error
}

// Voucher is implemented by a box that remembers across restarts which devices, and which groups of hosts, were delivered to.
type Voucher interface {
	// Vouch remembers a key until a time; of two times, the later one counts. It is written with one of the next commits, and Vouch
	// does not wait for that.
	Vouch(key [16]byte, until time.Time)

	// Vouched calls yield for each key that is still remembered; if there are more than [MaxVouched], only for the latest.
	Vouched(ctx context.Context, yield func(key [16]byte)) error
}

// MaxVouched is how many devices and groups of hosts are remembered at most.
const MaxVouched = 500_000

// Loser is implemented by a box that may remove entries that nobody asked it to remove.
type Loser interface {
	// OnLoss sets the function that the box calls when it has removed such entries of an app. It is called once, before Open. The
	// function returns soon, and any goroutine may call it.
	OnLoss(lost func(app string, why Loss, entries int))
}

// Forgetter is implemented by a [Ledger] that may forget events before their time.
type Forgetter interface {
	// OnForget sets the function that the box calls when it has forgotten events early, because there were too many. It is called once,
	// before Open. The function returns soon, and any goroutine may call it.
	OnForget(forgot func(events int))
}

// Sharded is implemented by a box that keeps its entries in several shards.
type Sharded interface {
	// ShardsDown returns how many shards cannot be used now. It asks nobody.
	ShardsDown() int
}

// Loss is why a box removed entries by itself.
type Loss string

const (
	// LossExpired means that nobody tried to deliver the entries before they expired. For example, their app is no longer configured.
	LossExpired Loss = "expired"
	// LossUnreadable means that the entries could not be read.
	LossUnreadable Loss = "unreadable"
)

// Claimer is implemented by a box that several gateways share. If several of them receive the same event at the same time, one delivers
// it. Note reports the delivery to all of them.
type Claimer interface {
	Ledger

	// Claim takes an event of a device for this gateway, until Note, Unclaim, or [LeaseTime] from now.
	Claim(ctx context.Context, device, event [16]byte) (Claim, error)

	// Unclaim gives up a claim, because the event was not delivered.
	Unclaim(ctx context.Context, device, event [16]byte) error
}

// Claim says which gateway an event belongs to.
type Claim uint8

const (
	// Claimed means that this gateway must deliver it.
	Claimed Claim = iota
	// Taken means that another gateway is delivering it.
	Taken
	// Done means that it was delivered, or accepted.
	Done
)

const (
	// AskTime is how long a question (Waiting or Claim) may take.
	AskTime = time.Second
	// WriteTime is how long a change may take: all other calls except Lease, Recall, Depths and List, which end with their context.
	WriteTime = 5 * time.Second
)

// LeaseTime is how long a lease lasts. It is longer than any attempt, so an expired lease belongs to a gateway that has died.
const LeaseTime = 45 * time.Second

var (
	// ErrOff means that there is no outbox: if there is no verdict, the homeserver must send the push again.
	ErrOff = errors.New("there is no outbox")
	// ErrFull means that a limit of the app or the device is reached.
	ErrFull = errors.New("the outbox is full")
	// ErrDeviceFull is an ErrFull for the device's own limit: the app may have room.
	ErrDeviceFull = fmt.Errorf("for this device, %w", ErrFull)
	// ErrTaken is an ErrFull because another gateway has the event: there is no room for it a second time.
	ErrTaken = fmt.Errorf("another gateway has the event: %w", ErrFull)
	// ErrUnsure means that a change did not end in time, or that its answer was lost: it may have happened, or may happen later.
	ErrUnsure = errors.New("it is unknown whether the outbox has the push")
	// ErrCursor means that the box never returned the cursor, or that it is too old.
	ErrCursor = errors.New("the cursor is invalid or too old")
	// ErrNotOpen means that the box has not been opened yet, or was closed.
	ErrNotOpen = errors.New("the outbox is not open")
	// ErrInUse means that another process has the box open.
	ErrInUse = errors.New("in use by a running Caddy")
	// ErrUnreachable means that the server of the box does not answer.
	ErrUnreachable = errors.New("the server cannot be reached")
)
