// Package rejected is the contract of the stores that remember which pushkeys a provider proved dead, and the rules for what a
// record means.
//
// A store holds hashes only, never a pushkey. It is a Caddy module in the namespace matrix_push.rejected that implements [Store];
// run the suite in package rejectedtest against one.
package rejected

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

// Store remembers rejected pushkeys. It is safe for concurrent use.
//
// A store that cannot answer fails open: the push goes to the provider, which says the same again.
type Store interface {
	// Lookup fills marks[i] with the mark of keys[i], or with the zero Mark if there is none. It is called once for all devices
	// of a request, and counts as having seen the records. It returns an error, and only zero marks, when it cannot tell.
	Lookup(ctx context.Context, keys []Key, marks []Mark) error

	// Reject records a verdict and returns when it is durable.
	Reject(ctx context.Context, key Key, v Verdict) error

	// Get returns what is known of a key; ErrNotFound if nothing is.
	Get(ctx context.Context, key Key) (Record, error)

	// Forget removes a record, if there is one, and returns when that is durable.
	Forget(ctx context.Context, key Key) error
}

// Opener is implemented by a store that holds a resource: it is opened when its configuration goes live, not while it is merely
// validated. Until then the store answers ErrNotOpen. An error fails the load.
type Opener interface {
	Open(ctx context.Context) error
}

var (
	// ErrNotFound says that there is no record of the key.
	ErrNotFound = errors.New("no such record")
	// ErrNotOpen says that the store was not opened yet, or was closed.
	ErrNotOpen = errors.New("the rejected store is not open")
)

// Key identifies a device to a store: the first half of the SHA-256 of its app_id and pushkey.
type Key [16]byte

// KeyOf is the key of a device. A NUL stands in no app_id that the gateway routes, so no two devices share a key.
func KeyOf(appID, pushkey string) Key {
	var buf [640]byte // an app_id has at most 64 bytes and a pushkey 512; longer ones cost an allocation
	b := append(buf[:0], appID...)
	b = append(b, 0)
	b = append(b, pushkey...)
	sum := sha256.Sum256(b)
	return Key(sum[:len(Key{})])
}

// String is the key in hexadecimal; its first 8 characters are what logs show.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Verdict is a provider's word that a pushkey is dead.
type Verdict struct {
	// Reason is the provider's, for example "gone".
	Reason string
	// PushkeyTS is the pushkey_ts of the push that failed, in milliseconds; 0 if it had none.
	PushkeyTS int64
	// Since is the push service's own time of death; zero if it did not say.
	Since time.Time
	// At is when the verdict was learned.
	At time.Time
}
