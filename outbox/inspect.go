package outbox

import (
	"context"
	"time"
)

// Located is implemented by a box that keeps its data in one place.
type Located interface {
	// Location returns the place, such as a path, or a server's host, port and database. It is logged, and must not contain a secret. It is
	// called after Open.
	Location() string
}

// OpenChecker is implemented by a box that can find out in advance, on this machine, whether it could be opened.
type OpenChecker interface {
	// CheckOpen returns why Open would fail, or nil. It returns ErrInUse if another process has the box open, and does not wait for it.
	// It changes nothing and uses no network.
	CheckOpen(ctx context.Context) error
}

// Checker is implemented by a box on a server.
type Checker interface {
	// Check asks the server whether the box can be used, and changes nothing. If there is no answer, the error wraps ErrUnreachable. An
	// error must not contain a secret.
	Check(ctx context.Context) error
}

// Describer is implemented by a box on servers.
type Describer interface {
	// Describe asks the servers about their state, and returns it in lines for an operator. It needs no open box. A line must not contain a
	// secret.
	Describe(ctx context.Context) []string
}

// Served is implemented by a box on servers that replace each other.
type Served interface {
	// Failovers returns how often a server was replaced or restarted since the process began, and when that last happened. It asks nobody.
	Failovers() (n int, last time.Time)
}

// Confirmer is implemented by a box whose servers must confirm entries, before it accepts them.
type Confirmer interface {
	// Unconfirmed returns since when and why servers don't confirm entries, although they answer; nil if they do. Accept returns ErrUnsure
	// meanwhile. It asks nobody. The error must not contain a secret.
	Unconfirmed() (since time.Time, why error)
}

// Inspector is implemented by a box that operators can look into.
type Inspector interface {
	Queue

	// Depths returns how many pushes are pending for each app that has any, including apps that are no longer configured. With a
	// [PartError], it returns what it could read.
	Depths(ctx context.Context) ([]Depth, error)

	// List returns a page of an app's entries, and the cursor of the next page, which is empty at the end. A page has at most limit
	// entries, from 1 to 1000; it may be short or empty without being the last. An entry that exists from the first page to the last is
	// listed. A device's entries are listed in their order.
	List(ctx context.Context, app string, cursor string, limit int) (page []Waiting, next string, err error)

	// Drop removes a device's entries, or only the one with the ID if that is not empty. It returns how many when that is durable. An
	// entry with an attempt under way stays.
	Drop(ctx context.Context, app string, device [16]byte, id string) (dropped int, err error)
}

// PartError means that a part of the box cannot be read now, for example because one of its servers does not answer.
type PartError struct {
	// Parts names the parts that cannot be read, for operators.
	Parts string
	Err   error
}

// Error returns the parts and why they cannot be read.
func (e *PartError) Error() string { return e.Parts + " cannot be read: " + e.Err.Error() }

// Unwrap returns why the parts cannot be read.
func (e *PartError) Unwrap() error { return e.Err }

// Depth is how many pushes are pending for an app.
type Depth struct {
	App              string
	Entries, Devices int
	// Oldest is when the entry that expires first was accepted. That is the oldest entry if all of the app's entries are kept for the
	// same time.
	Oldest time.Time
	// Full means that the room is used up, apart from what strangers' groups have, since their entries make way.
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
	// Due is when the entry's device is tried next. If Running is set, it is when the lease ends.
	Due time.Time
	// Attempts is how often in a row the device was released.
	Attempts int
	// Running means that an attempt at this entry is under way.
	Running bool
}
