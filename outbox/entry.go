package outbox

import "time"

// Entry is one push in the outbox.
type Entry struct {
	// ID is the push's ID, the same in every attempt.
	ID string
	// App is the pattern of the app.
	App string
	// Device is the hash that identifies the device, as in the rejected store. It is made of app_id, pushkey and, if those do not
	// decide where pushes go, the target.
	Device [16]byte
	// Event is the push's key for duplicate suppression, which is remembered with the entry until EventUntil; zero if it has none.
	Event      [16]byte
	EventUntil time.Time
	// Host is where the push goes, if devices choose that; empty if all pushes of the app go to the same service.
	Host string
	// Group is the owner of the host, a registrable domain or a block of addresses. Standing is what is known about the device and its
	// host. Where devices choose the host, both decide how pushes share the room. A group has no spaces.
	Group    string
	Standing Standing
	// Replace is set if only a device's newest push of its kind is worth keeping, such as [ReplaceBadge]. Accepting the push removes
	// the device's entries with the same Replace, except those with an attempt under way. It is empty for a push that replaces nothing.
	Replace string
	// PushkeyTS is the device's pushkey_ts, in milliseconds; 0 if it had none.
	PushkeyTS int64
	// Push is the push itself, as the gateway encoded it, after the content policy.
	Push []byte
	// Accepted is when the gateway received the push, and Expires when it is given up.
	Accepted, Expires time.Time
	// Running means that an attempt is under way: the entry is accepted with its device leased.
	Running bool
	// Due is when to try the push first, if the device has no earlier entry and no attempt under way; zero means at once.
	Due time.Time
}

// Standing is what is known about a push's device and host, in ascending order. A sender can make up any number of strangers.
type Standing uint8

const (
	// Stranger means that neither the device nor its host ever took a push.
	Stranger Standing = iota
	// Guest means that the host has taken pushes, but not for this device.
	Guest
	// Proven means that the device has taken a push before.
	Proven
)

// standings are the words for them.
var standings = [...]string{Stranger: "stranger", Guest: "guest", Proven: "proven"}

// String returns the standing as one word.
func (s Standing) String() string { return standings[min(s, Proven)] }

// MarshalText encodes the standing as its word.
func (s Standing) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText decodes the word. An unknown word, which a later version may have written, becomes Guest.
func (s *Standing) UnmarshalText(text []byte) error {
	*s = Guest
	for standing, word := range standings {
		if word == string(text) {
			*s = Standing(standing)
		}
	}
	return nil
}

const (
	// ReplaceBadge is the Replace of a badge update.
	ReplaceBadge = "badge"
	// ReplaceWake is the Replace of a notification that only wakes its device. If its priority is low, a space and "low" follow. If the
	// device has several accounts, a space and a hash of the account follow.
	ReplaceWake = "wake"
)

// Ref returns the entry's reference.
func (e *Entry) Ref() Ref { return Ref{App: e.App, Device: e.Device, ID: e.ID} }

// Ref refers to an entry.
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
