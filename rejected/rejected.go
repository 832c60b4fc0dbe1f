// Package rejected is the contract of the stores that remember dead pushkeys, and the rules for what a record means.
//
// A store holds only hashes, never a pushkey. It is a Caddy module in the namespace matrix_push.rejected that implements [Store]. Run
// the suite in package rejectedtest against your store.
//
// A call ends with its context at the latest. The caller sets a deadline of [AskTime] for Lookup, none for List, and [WriteTime] for
// all other calls. A call that did not end in time returns an error; a change may still have happened, or may happen later.
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
// If a store cannot answer, the push goes to the provider, whose push service rejects the pushkey again.
type Store interface {
	// Lookup fills marks[i] with the mark of keys[i], or with the zero Mark if there is none. It is called once for all devices of a
	// request, and updates LastSeen of their records. If the store cannot answer for some keys, it returns an error, and the zero Mark
	// for those.
	Lookup(ctx context.Context, keys []Key, marks []Mark) error

	// Reject records a verdict, and returns when it is durable. It ends a suspicion.
	Reject(ctx context.Context, key Key, v Verdict) error

	// Suspect records a look that found the pushkey missing, without proof that it is dead. It returns the suspicion after that look,
	// when it is durable: see [Record.Suspect].
	Suspect(ctx context.Context, key Key, v Verdict) (Suspicion, error)

	// Acquit ends a suspicion, if there is one, because the pushkey was delivered to. It returns when that is durable. Verdicts stay.
	Acquit(ctx context.Context, key Key) error

	// Get returns what is known about a key, or ErrNotFound.
	Get(ctx context.Context, key Key) (Record, error)

	// Forget removes a record, including its suspicion, if there is one, and returns when that is durable.
	Forget(ctx context.Context, key Key) error
}

// Prompt is implemented by a store that answers most lookups from memory. Such a lookup needs no deadline.
type Prompt interface {
	// LookupNow does the same as Lookup if it can do so without waiting. Otherwise it returns false, and the content of marks has no
	// meaning.
	LookupNow(keys []Key, marks []Mark) bool
}

// Opener is implemented by a store that holds a resource. It is opened when its configuration goes live, not when it is only validated.
// Until then, all methods of the store return ErrNotOpen. An error fails the load.
type Opener interface {
	Open(ctx context.Context) error
}

// Located is implemented by a store that keeps its data in one place.
type Located interface {
	// Location returns the place, such as a path, or a server's host, port and database. It is logged, and must not contain a secret. It is
	// called after Open.
	Location() string
}

// OpenChecker is implemented by a store that can find out in advance, on this machine, whether it could be opened.
type OpenChecker interface {
	// CheckOpen returns why Open would fail, or nil. It returns ErrInUse if another process has the store open, and does not wait for it.
	// It changes nothing and uses no network.
	CheckOpen(ctx context.Context) error
}

// Checker is implemented by a store on a server.
type Checker interface {
	// Check asks the server whether the store can be used, and changes nothing. If there is no answer, the error wraps ErrUnreachable. An
	// error must not contain a secret.
	Check(ctx context.Context) error
}

// Lister is implemented by a store that can list its records. Listing a record does not update its LastSeen.
type Lister interface {
	// List returns a page of the records that a query asks for, and the cursor of the next page, which is empty at the end. A page may
	// be short or empty without being the last. A record that exists from the first page to the last is listed at least once; one that
	// comes or goes in the meantime may be listed. Expired records are not listed. For an invalid query, it returns ErrPrefix or
	// ErrCursor.
	List(ctx context.Context, q Query) (page []Entry, next string, err error)
}

// Query selects records.
type Query struct {
	// Prefix is the beginning of the keys in lower-case hexadecimal, with up to 32 digits. Empty selects all.
	Prefix string
	// Cursor is what List returned with the page before; empty for the first page.
	Cursor string
	// Limit is how many records a page has at most. It is MaxPage if it is larger than that, or not positive. A store that cannot end a
	// page anywhere may return some more, up to twice as many and ten.
	Limit int
}

// Entry is a record and its key.
type Entry struct {
	Key    Key
	Record Record
}

// Describer is implemented by a store on servers.
type Describer interface {
	// Describe asks the servers about their state, and returns it in lines for an operator. It needs no open store. A line must not contain a
	// secret.
	Describe(ctx context.Context) []string
}

// Served is implemented by a store on servers that replace each other.
type Served interface {
	// Failovers returns how often a server was replaced or restarted since the process began, and when that last happened. It asks nobody.
	Failovers() (n int, last time.Time)
}

// Witness is implemented by a store that several gateways share. It tells each of them which hosts took pushes of the others. It is
// used only for hosts that devices choose, and a delivery is noted at most once a minute for each host.
type Witness interface {
	// Delivered notes that a host took a push at a time.
	Delivered(ctx context.Context, host Key, at time.Time) error

	// LastDelivered returns when a host last took a push of any gateway; zero if that is not known.
	LastDelivered(ctx context.Context, host Key) (time.Time, error)
}

// Migrator is implemented by a store that outlives the process. It remembers which migrations its records went through, so each is done
// once. The name of a migration may have any characters.
type Migrator interface {
	// Migrated reports whether a migration was noted.
	Migrated(ctx context.Context, change string) (bool, error)

	// NoteMigrated notes that a migration was done, and returns when that is durable.
	NoteMigrated(ctx context.Context, change string) error
}

// Sizer is implemented by a store that always knows how many records it has.
type Sizer interface {
	Len() int
}

const (
	// AskTime is how long a lookup may take, since a request waits for it.
	AskTime = 250 * time.Millisecond
	// WriteTime is how long a change or Get may take.
	WriteTime = 5 * time.Second
)

var (
	// ErrNotFound means that there is no record of the key.
	ErrNotFound = errors.New("no such record")
	// ErrPrefix means that no key can have the prefix.
	ErrPrefix = errors.New("prefix: must be at most 32 lower-case hexadecimal digits")
	// ErrCursor means that the store never returned the cursor, or that it is too old.
	ErrCursor = errors.New("the cursor is invalid or too old")
	// ErrNotOpen means that the store has not been opened yet, or was closed.
	ErrNotOpen = errors.New("the rejected store is not open")
	// ErrInUse means that another process has the store open.
	ErrInUse = errors.New("in use by a running Caddy")
	// ErrUnreachable means that the server of the store does not answer.
	ErrUnreachable = errors.New("the server cannot be reached")
)

// Key identifies a device to a store: a hash of what decides where its pushes go. That is its app_id and pushkey and, if those are not
// enough, a target, such as the endpoint of a Web Push subscription.
type Key [16]byte

// sharedBytes is the part of a key that depends on app_id and pushkey only. Two pushkeys do not have the same first 48 bits by chance,
// and nobody can find a target with the same remaining 80 bits on purpose.
const sharedBytes = 6

// KeyOf returns the key of a device whose app_id and pushkey decide where its pushes go: the first half of their SHA-256. The gateway
// routes no app_id with a NUL, so no two devices share a key.
func KeyOf(appID, pushkey string) Key { return hash(appID, pushkey) }

// KeyAt returns the key of a device whose pushes go to a target. It is [KeyOf] if the target is empty, and has the same [Key.Family] in
// any case.
func KeyAt(appID, pushkey, target string) Key {
	k := KeyOf(appID, pushkey)
	if target != "" {
		// No app_id is empty, so KeyOf never hashes the same parts.
		own := hash("", appID, strconv.Itoa(len(pushkey)), pushkey, target)
		copy(k[sharedBytes:], own[:])
	}
	return k
}

// hash returns the first half of the SHA-256 of the parts, joined by NULs.
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

// Family returns the beginning that the keys of all devices with the same app_id and pushkey share, in hexadecimal. As a
// [Query.Prefix], it finds them.
func (k Key) Family() string { return hex.EncodeToString(k[:sharedBytes]) }

// String returns the key in hexadecimal.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Short returns the first 8 characters of the key in hexadecimal. Logs show only these.
func (k Key) Short() string { return hex.EncodeToString(k[:4]) }

// Verdict is a provider's report that a pushkey is dead.
type Verdict struct {
	// App is the pattern of the pushkey's app.
	App string
	// Reason is the provider's reason, for example "gone".
	Reason string
	// PushkeyTS is the pushkey_ts of the push that failed, in milliseconds; 0 if it had none.
	PushkeyTS int64
	// Since is the time of death according to the push service; zero if it sent none.
	Since time.Time
	// At is when the gateway learned the verdict.
	At time.Time
}
