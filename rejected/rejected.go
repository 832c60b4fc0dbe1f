// Package rejected is the contract of the stores that remember which pushkeys a provider proved dead, and the rules for what a
// record means.
//
// A store holds hashes only, never a pushkey. It is a Caddy module in the namespace matrix_push.rejected that implements [Store];
// run the suite in package rejectedtest against one.
//
// A call ends with its context at the latest. The caller sets a deadline of [AskTime] for Lookup and of [WriteTime] for all else but
// List. What did not end in time is an error; a change may have happened, or may happen later.
package rejected

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"
)

// Store remembers rejected pushkeys. It is safe for concurrent use.
//
// A store that cannot answer fails open: the push goes to the provider, which says the same again.
type Store interface {
	// Lookup fills marks[i] with the mark of keys[i], or with the zero Mark if there is none. It is called once for all devices
	// of a request, and counts as having seen the records. It returns an error, and only zero marks, when it cannot tell.
	Lookup(ctx context.Context, keys []Key, marks []Mark) error

	// Reject records a verdict and returns when it is durable. It ends a suspicion.
	Reject(ctx context.Context, key Key, v Verdict) error

	// Suspect records a look that found the pushkey missing, without proof that it is dead, and returns the suspicion with it when
	// that is durable: see [Record.Suspect].
	Suspect(ctx context.Context, key Key, v Verdict) (Suspicion, error)

	// Acquit ends a suspicion, if there is one, and returns when that is durable: the pushkey took a push. Verdicts stay.
	Acquit(ctx context.Context, key Key) error

	// Get returns what is known of a key; ErrNotFound if nothing is.
	Get(ctx context.Context, key Key) (Record, error)

	// Forget removes a record, its suspicion included, if there is one, and returns when that is durable.
	Forget(ctx context.Context, key Key) error
}

// Prompt is implemented by a store that can answer most lookups from memory, so nobody has to wait for it with a clock in hand.
type Prompt interface {
	// LookupNow is Lookup if that needs to wait for nothing; otherwise it returns false, and what is in marks has no meaning.
	LookupNow(keys []Key, marks []Mark) bool
}

// Opener is implemented by a store that holds a resource: it is opened when its configuration goes live, not while it is merely
// validated. Until then the store answers ErrNotOpen. An error fails the load.
type Opener interface {
	Open(ctx context.Context) error
}

// Lister is implemented by a store whose records can be looked through. That a record is listed does not count as having seen it.
type Lister interface {
	// List returns a page of the records that a query asks for, and the cursor of the next page, which is empty when there is none.
	// A page may be short or empty without being the last. A record that is there from the first page to the last is listed,
	// at least once; one that comes or goes meanwhile may be. What expired is not listed. A query that makes no sense is ErrPrefix or
	// ErrCursor.
	List(ctx context.Context, q Query) (page []Entry, next string, err error)
}

// Query asks for records.
type Query struct {
	// Prefix is what their keys begin with in lower-case hexadecimal: up to 32 digits. Empty for all.
	Prefix string
	// Cursor is what the page before said; empty for the first page.
	Cursor string
	// Limit is how many a page has at most: MaxPage if it is larger, or not positive. A store that cannot end a page where it
	// likes may give some more, but no more than twice as many and ten.
	Limit int
}

// Entry is a record and its key.
type Entry struct {
	Key    Key
	Record Record
}

// Witness is implemented by a store that several gateways share: what one of them delivered to a host, the others know. It is asked and
// told only about hosts that devices choose, and told at most once a minute about each.
type Witness interface {
	// Delivered notes that a host took a push at a time.
	Delivered(ctx context.Context, host Key, at time.Time) error

	// LastDelivered is when a host last took a push of any gateway; zero if that is not known.
	LastDelivered(ctx context.Context, host Key) (time.Time, error)
}

// Migrator is implemented by a store that outlives the process: it remembers which changes its records went through, so that each is made
// once. A change has a name, of any characters.
type Migrator interface {
	// Migrated reports whether a change was noted.
	Migrated(ctx context.Context, change string) (bool, error)

	// NoteMigrated notes that a change was made, and returns when that is durable.
	NoteMigrated(ctx context.Context, change string) error
}

// Sizer is implemented by a store that knows at any time how many records it has.
type Sizer interface {
	Len() int
}

const (
	// AskTime is how long a lookup may take: a request waits for it.
	AskTime = 250 * time.Millisecond
	// WriteTime is how long a change or Get may take.
	WriteTime = 5 * time.Second
)

var (
	// ErrNotFound says that there is no record of the key.
	ErrNotFound = errors.New("no such record")
	// ErrPrefix says that a prefix is none of a key.
	ErrPrefix = errors.New("prefix: must be at most 32 lower-case hexadecimal digits")
	// ErrCursor says that a cursor is none that the store gave out, or too old.
	ErrCursor = errors.New("the cursor is not valid (any more)")
	// ErrNotOpen says that the store was not opened yet, or was closed.
	ErrNotOpen = errors.New("the rejected store is not open")
)

// Key identifies a device to a store: a hash of what decides where its pushes go. That is its app_id and pushkey or, where they do not decide
// it alone, these and a target, such as the endpoint of a Web Push subscription.
type Key [16]byte

// sharedBytes is how much of a key depends on app_id and pushkey only. Nobody finds another pushkey with the same first 48 bits by chance,
// nor another target with the same 80 behind them on purpose.
const sharedBytes = 6

// KeyOf is the key of a device whose app_id and pushkey decide where its pushes go: the first half of their SHA-256. A NUL stands in no
// app_id that the gateway routes, so no two devices share a key.
func KeyOf(appID, pushkey string) Key { return hash(appID, pushkey) }

// KeyAt is the key of a device whose pushes go to a target that app_id and pushkey do not decide alone. Without a target it is [KeyOf], and
// with any it begins with the same family.
func KeyAt(appID, pushkey, target string) Key {
	k := KeyOf(appID, pushkey)
	if target != "" {
		// No app_id is empty, so this is not what KeyOf hashes for any device.
		own := hash("", appID, strconv.Itoa(len(pushkey)), pushkey, target)
		copy(k[sharedBytes:], own[:])
	}
	return k
}

// hash is the first half of the SHA-256 of the parts with a NUL between each two.
func hash(parts ...string) Key {
	var buf [1024]byte // an app_id has at most 64 bytes and a pushkey 512; longer ones cost an allocation
	b := buf[:0]
	for i, part := range parts {
		if i > 0 {
			b = append(b, 0)
		}
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return Key(sum[:len(Key{})])
}

// Family is what the keys of all devices with the same app_id and pushkey begin with, in hexadecimal: a [Query.Prefix] that finds them.
func (k Key) Family() string { return hex.EncodeToString(k[:sharedBytes]) }

// String is the key in hexadecimal.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Short is the first 8 characters of the key in hexadecimal: what logs show of a device.
func (k Key) Short() string { return hex.EncodeToString(k[:4]) }

// Verdict is a provider's word that a pushkey is dead.
type Verdict struct {
	// App is the pattern of the app that the pushkey was of.
	App string
	// Reason is the provider's, for example "gone".
	Reason string
	// PushkeyTS is the pushkey_ts of the push that failed, in milliseconds; 0 if it had none.
	PushkeyTS int64
	// Since is the push service's own time of death; zero if it did not say.
	Since time.Time
	// At is when the verdict was learned.
	At time.Time
}
