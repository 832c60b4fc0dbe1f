package providers

import (
	"encoding/json"
	"maps"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
)

// Notification is a Matrix notification without its devices, as
// https://spec.matrix.org/v1.15/push-gateway-api/#post_matrixpushv1notify defines it and as real homeservers send it: an absent,
// null or empty member is the zero value. It is immutable once decoded.
//
// The outbox keeps it as JSON. What is nil is left out of that, since a [json.RawMessage] reads a null as the four letters of it.
type Notification struct {
	EventID           string
	RoomID            string
	Type              string
	Sender            string
	SenderDisplayName string
	RoomName          string
	RoomAlias         string
	// Membership is sent by Synapse and Dendrite for m.room.member events; it is not in the specification.
	Membership   string
	UserIsTarget bool
	Prio         Priority
	Counts       Counts
	// Content is the event's content, a JSON object; nil if there is none.
	Content json.RawMessage `json:",omitempty"`
	// Encrypted are the members of MSC3013 (encrypted push).
	Encrypted Encrypted

	// Badge says that this is a badge update: it has no event_id, room_id, type or content, and only tells counts. Anything else
	// is an alert.
	Badge bool

	// Body is the request body that the notification came in: see [Notification.Members]. It is nil once the content policy
	// reduced the notification.
	Body json.RawMessage `json:",omitempty"`
}

// Members are all members of the notification object as the homeserver sent them, also those that nobody knows, but for the
// devices, as no device learns of another, and the counts where the device wants none. They are nil if the content policy reduced the notification.
func (n *Notification) Members() map[string]json.RawMessage {
	var request struct {
		Notification map[string]json.RawMessage `json:"notification"`
	}
	if n.Body == nil || jsonv2.Unmarshal(n.Body, &request, lenient.Options) != nil {
		return nil
	}
	maps.DeleteFunc(request.Notification, func(name string, _ json.RawMessage) bool {
		// A client may take any of these names for the member's.
		return strings.EqualFold(name, "devices") || (n.Counts == Counts{} && strings.EqualFold(name, "counts"))
	})
	return request.Notification
}

// Alone is the notification as it may be kept for one device: the body has no other devices in it.
func (n *Notification) Alone() *Notification {
	if n.Body == nil {
		return n
	}
	c := *n
	c.Body, _ = json.Marshal(map[string]any{"notification": n.Members()}) // JSON that was decoded before
	return &c
}

// Counts are the numbers for the app's badge; nil where the homeserver sent none.
type Counts struct {
	Unread      *int64
	MissedCalls *int64
}

// Encrypted are the three members of an encrypted push,
// https://github.com/matrix-org/matrix-spec-proposals/pull/3013. Only the client can read them.
type Encrypted struct {
	Ciphertext, Ephemeral, MAC string
}

// Priority is how soon a notification should reach its device.
type Priority uint8

const (
	// PrioHigh should wake the device; it is the default.
	PrioHigh Priority = iota
	// PrioLow may wait until the device is awake.
	PrioLow
)

// String is the priority as the protocol writes it.
func (p Priority) String() string {
	if p == PrioLow {
		return "low"
	}
	return "high"
}

// Content says how much of a notification may leave the gateway.
type Content uint8

const (
	// ContentDefault leaves it to the provider.
	ContentDefault Content = iota
	// ContentIDs lets only ids, counts and the priority leave, and what the homeserver encrypted for the client.
	ContentIDs
	// ContentFull lets everything leave.
	ContentFull
)

// Reduced is the notification with only what [ContentIDs] lets leave.
func (n *Notification) Reduced() *Notification {
	return &Notification{
		EventID:   n.EventID,
		RoomID:    n.RoomID,
		Prio:      n.Prio,
		Counts:    n.Counts,
		Encrypted: n.Encrypted,
		Badge:     n.Badge,
	}
}

// WithoutCounts is the notification without the numbers for a badge.
func (n *Notification) WithoutCounts() *Notification {
	c := *n
	c.Counts = Counts{}
	return &c
}

// Device is one of a notification's devices.
type Device struct {
	AppID   string
	Pushkey string
	// PushkeyTS is when the client last registered the pushkey, in milliseconds of Unix time by the homeserver's clock; 0 if
	// the homeserver did not say. Most homeservers send whole seconds.
	PushkeyTS int64
	// Data is the pusher's data, a JSON object of the client's; nil if there is none.
	Data json.RawMessage `json:",omitempty"`
	// Tweaks are what the push rules set, a JSON object; nil if there is none.
	Tweaks json.RawMessage `json:",omitempty"`
}
