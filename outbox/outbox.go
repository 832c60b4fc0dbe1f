// Package outbox is the contract of the durable queue that takes over a push for which there was no verdict in time.
//
// A box is a Caddy module in the namespace matrix_push.outbox that implements [Box], and [Queue] if it keeps anything; run the suite in
// package outboxtest against one. Its model is a queue for each device, and an order of the devices of an app by when they are due. A
// device is leased as a whole, so that its pushes keep their order.
//
// # Room
//
// An app has room for so many entries and so many bytes. A push that finds none displaces others, so one sender cannot use up what others
// need. Where devices choose the host, entries have a group: whom the host belongs to.
//
//   - All entries of a group have at most three quarters of the room.
//   - All entries of strangers have at most half of it; a box may give them less.
//   - The proven entries of a group have at most three times what is left of the room by all proven ones: however many groups somebody
//     makes up, a further one finds room.
//   - A push that would not fit displaces entries of a lower standing: the lowest first, of the group that has most of that standing, the
//     newest first. Beyond its group's share, it displaces entries of its group.
//   - Then it displaces entries of its own standing, of a group that has more of them than its own group would have with it.
//   - A proven entry is never displaced, nor is one at which an attempt is under way.
//   - A push displaces at most 64 entries. If that does not make room, it is refused with [ErrFull], and nothing is displaced.
//
// Entries without a group are displaced by those of a higher standing only, and displace none of their own. They have no shares.
//
// # Calls
//
// A call ends with its context at the latest. The caller sets a deadline of [AskTime] for a question and of [WriteTime] for a change.
// A change that did not end in time returns an error that is [ErrUnsure]: it may have happened, or may happen later.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Box takes pushes over. It is safe for concurrent use.
type Box interface {
	// Accept takes over a push and returns nil when the entry is durable: from then on the gateway may answer for it. [ErrOff] and
	// [ErrFull] mean that the box takes nothing, or no more for now. [ErrUnsure] means that the entry may be in the box, or may
	// arrive there later; accepting the same entry again makes sure. After any other error the entry is not in the box.
	//
	// An entry whose ID is in the box already is accepted without being stored twice, and its device is due as the newer call says.
	// Neither is an entry stored whose event the device has in the box already, as another entry. An entry that was settled or
	// discarded, or that gave way, is accepted without being stored at all: a late Accept never brings a push back.
	//
	// Where there is no room, entries of a lower [Standing] give way, and of the same one those of the [Entry.Group] that has most, in the
	// same transaction: see the package's comment. They are returned, for the caller to report; also with ErrUnsure, as far as they are
	// known. If that call's answer was lost, the call that makes sure returns them.
	//
	// When the attempt at an entry ends that was accepted as Running, the caller settles or releases it, or accepts it again without
	// Running, also after ErrUnsure.
	Accept(ctx context.Context, e Entry) (displaced []Ref, err error)

	// Settle removes an entry that needs no further attempt, and returns when that is durable. The lease on its device ends, and the
	// device's next entry is due at once. An entry that is not there is no error: if its Accept is still on its way, it has no effect
	// when it arrives, for at least [LeaseTime]. After an error the entry may come back with a restart, but not before.
	Settle(ctx context.Context, r Ref) error

	// Release ends the lease on the entry's device, which is due again at the given time. Tried reports whether there was an attempt:
	// only then does the device's number of attempts grow.
	Release(ctx context.Context, r Ref, due time.Time, tried bool) error

	// Waiting reports whether the device has entries: a further push for it joins behind them, so the order is kept.
	Waiting(ctx context.Context, app string, device [16]byte) (bool, error)
}

// Queue is implemented by a box that keeps what it accepts.
type Queue interface {
	Box

	// Lease waits until devices of the app are due, and returns the oldest entry of each, of at most n of them. Nobody else gets these
	// devices' entries until Settle, Release, or [LeaseTime] from now. It waits as long as its context allows, and returns the
	// context's error when that is done.
	Lease(ctx context.Context, app string, n int) ([]Leased, error)

	// Discard removes a device's entries but for those of a later registration, whose PushkeyTS is newer than the given one. Like
	// Settle, it keeps an Accept that is still on its way from having an effect: that of an entry whose Accepted is before the call.
	Discard(ctx context.Context, app string, device [16]byte, pushkeyTS int64) error

	// Rouse makes all devices of an app due that are not leased.
	Rouse(ctx context.Context, app string) error

	// RouseHost makes devices due whose oldest entry goes to the host and that are not leased: until so many are due, or all if most
	// is 0. It returns how many are due; those that it found due count. Which ones it begins with differs from call to call.
	RouseHost(ctx context.Context, app, host string, most int) (due int, err error)

	// RouseDevice makes a device due, unless it is leased, and reports whether it has entries.
	RouseDevice(ctx context.Context, app string, device [16]byte) (found bool, err error)
}

// Opener is implemented by a box that holds a resource: it is opened when its configuration goes live, not while it is merely
// validated. An error fails the load.
type Opener interface {
	Open(ctx context.Context) error
}

// Ledger is implemented by a box that remembers delivered events over a restart.
type Ledger interface {
	// Note remembers an event until a time. It goes with the next commit, which is not waited for.
	Note(event [16]byte, until time.Time)

	// Recall calls yield for each event that is still remembered.
	Recall(ctx context.Context, yield func(event [16]byte)) error
}

// Voucher is implemented by a box that remembers over a restart which devices, and which groups of hosts, took a push.
type Voucher interface {
	// Vouch remembers one until a time; of two times, the later counts. It goes with one of the next commits, which is not waited for.
	Vouch(key [16]byte, until time.Time)

	// Vouched calls yield for each that is still remembered: of more than [MaxVouched], the latest.
	Vouched(ctx context.Context, yield func(key [16]byte)) error
}

// MaxVouched is how many devices and groups of hosts are remembered at most.
const MaxVouched = 500_000

// Inspector is implemented by a box that an operator can look into.
type Inspector interface {
	Queue

	// Depths says how much waits for each app that anything waits for, also for those that are not configured any more.
	Depths(ctx context.Context) ([]Depth, error)

	// List returns a page of an app's entries, and the cursor of the next page, which is empty when there is none. A page has at most
	// as many entries as the limit says, from 1 to 1000; it may be short or empty without being the last. An entry that is there from
	// the first page to the last is listed; a device's entries are listed in their order.
	List(ctx context.Context, app string, cursor string, limit int) (page []Waiting, next string, err error)

	// Drop removes a device's entries, or the one with the ID if that is not empty, and says how many when that is durable. An entry
	// at which an attempt is under way stays.
	Drop(ctx context.Context, app string, device [16]byte, id string) (dropped int, err error)
}

// Depth is how much waits for an app.
type Depth struct {
	App              string
	Entries, Devices int
	// Oldest is when the entry that expires first was accepted: the oldest one, where all of an app's are kept for the same time.
	Oldest time.Time
	// Full reports whether the room is used up: all of it, but for what strangers' groups have, as that makes way.
	Full bool
}

// Waiting is what an operator may see of an entry.
type Waiting struct {
	ID                string
	App               string
	Device            [16]byte
	Host, Replace     string
	Group             string
	Standing          Standing
	Size              int // of the push, in bytes
	Accepted, Expires time.Time
	// Due is when the entry's device is tried next, and until when the lease lasts if Running.
	Due time.Time
	// Attempts is how often in a row the device was released.
	Attempts int
	// Running says that an attempt at this entry is under way.
	Running bool
}

// Claimer is implemented by a box that several gateways share: of those that get the same event at the same time, one delivers it. Its
// Note says that an event was delivered, to all of them.
type Claimer interface {
	Ledger

	// Claim takes an event for this gateway, until Note, Unclaim, or [LeaseTime] from now.
	Claim(ctx context.Context, event [16]byte) (Claim, error)

	// Unclaim gives up a claim: the event was not delivered.
	Unclaim(ctx context.Context, event [16]byte) error
}

// Claim is whose an event is.
type Claim uint8

const (
	// Claimed says that it is this gateway's to deliver.
	Claimed Claim = iota
	// Taken says that another gateway is delivering it.
	Taken
	// Done says that it was delivered, or accepted.
	Done
)

const (
	// AskTime is how long a question may take: Waiting and Claim.
	AskTime = time.Second
	// WriteTime is how long a change may take: all other calls but Lease, Recall, Depths and List, which end with their context.
	WriteTime = 5 * time.Second
)

// LeaseTime is how long a lease lasts: longer than any attempt, so that a lapsed one belongs to a gateway that is no more.
const LeaseTime = 45 * time.Second

var (
	// ErrOff says that there is no outbox: what has no verdict is answered so that the homeserver tries again.
	ErrOff = errors.New("there is no outbox")
	// ErrFull says that the bound of the app or the device is reached.
	ErrFull = errors.New("the outbox is full")
	// ErrDeviceFull is an ErrFull that says that the device's own bound is reached: the app may have room.
	ErrDeviceFull = fmt.Errorf("for this device, %w", ErrFull)
	// ErrTaken is an ErrFull that says that another gateway has the event: there is no room for it a second time.
	ErrTaken = fmt.Errorf("another gateway has the event: %w", ErrFull)
	// ErrUnsure says that a change did not end in time, or that its answer was lost: it may have happened, or may happen later.
	ErrUnsure = errors.New("it is not known whether the outbox has it")
	// ErrCursor says that a cursor is none that the box gave out, or too old.
	ErrCursor = errors.New("the cursor is not valid (any more)")
	// ErrNotOpen says that the box was not opened yet, or was closed.
	ErrNotOpen = errors.New("the outbox is not open")
)

// Entry is one push in the outbox.
type Entry struct {
	// ID is the push's, the same in every attempt.
	ID string
	// App is the pattern of the app it is for.
	App string
	// Device is the hash of app_id, pushkey and, where these do not decide alone where pushes go, the target, that the rejected store uses too.
	Device [16]byte
	// Event is the push's key for duplicate suppression, which is remembered with the entry until EventUntil; zero if it has none.
	Event      [16]byte
	EventUntil time.Time
	// Host is where the push goes, where devices choose that; empty where all pushes of the app go to the same service.
	Host string
	// Group is whom the host belongs to, a registrable domain or a block of addresses, and Standing what is known of where the push goes: by
	// these, pushes share the room where devices choose the host. A group has no spaces.
	Group    string
	Standing Standing
	// Replace is what the push is about, if only a device's newest such push is worth keeping, such as [ReplaceBadge]: accepting it
	// removes the device's entries with the same Replace at which no attempt is under way. Empty for a push that keeps its place.
	Replace string
	// PushkeyTS is the device's, in milliseconds; 0 if it had none.
	PushkeyTS int64
	// Push is the push itself, as the gateway wrote it, after the content policy.
	Push []byte
	// Accepted is when the gateway got it, and Expires when it is given up.
	Accepted, Expires time.Time
	// Running says that an attempt is under way: the entry is accepted with its device leased.
	Running bool
	// Due is when to try it first, if no other entry of the device goes before and none is running; zero for at once.
	Due time.Time
}

// Standing is what is known of where a push goes, the least first. A sender can make up any number of strangers.
type Standing uint8

const (
	// Stranger means that neither the device nor its host ever took a push.
	Stranger Standing = iota
	// Guest means that the host took pushes, and this device none so far.
	Guest
	// Proven means that the device took a push before.
	Proven
)

// standings are the words for them.
var standings = [...]string{Stranger: "stranger", Guest: "guest", Proven: "proven"}

// String is the standing in a word.
func (s Standing) String() string { return standings[min(s, Proven)] }

// MarshalText writes the word.
func (s Standing) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word. One that it does not know, as of a later version, is a guest's.
func (s *Standing) UnmarshalText(text []byte) error {
	*s = Guest
	for standing, word := range standings {
		if word == string(text) {
			*s = Standing(standing)
		}
	}
	return nil
}

// ReplaceBadge is the Replace of a badge update.
const ReplaceBadge = "badge"

// Ref is the entry's name.
func (e *Entry) Ref() Ref { return Ref{App: e.App, Device: e.Device, ID: e.ID} }

// Ref names an entry.
type Ref struct {
	App    string
	Device [16]byte
	ID     string
}

// Leased is an entry that its holder may try.
type Leased struct {
	Entry
	// Attempts is how often in a row the device was released.
	Attempts int
}
