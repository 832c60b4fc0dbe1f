package providers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strings"
	"sync"
)

// Notification is a Matrix notification without its devices, as
// https://spec.matrix.org/v1.15/push-gateway-api/#post_matrixpushv1notify defines it and as real homeservers send it: an absent,
// null or empty member is the zero value. It is immutable once decoded.
//
// The outbox keeps it as JSON. What is nil is left out of that, since a [json.RawMessage] reads a null as the four letters of it.
type Notification struct {
	// EventID is the event's id. Homeservers repeat it when they send a notification again.
	EventID string
	// RoomID is the room's id.
	RoomID string
	// Type is the event's type, such as m.room.message or m.room.encrypted.
	Type string
	// Sender is the Matrix ID of who sent the event.
	Sender string
	// SenderDisplayName is the sender's name as people read it.
	SenderDisplayName string
	// RoomName is the room's name as people read it; homeservers make one up for rooms without a name.
	RoomName string
	// RoomAlias is the room's alias, such as #room:example.org.
	RoomAlias string
	// Membership is sent by Synapse and Dendrite for m.room.member events; it is not in the specification.
	Membership string
	// UserIsTarget reports whether a membership event is about the recipient.
	UserIsTarget bool
	// Prio is high unless the homeserver says low.
	Prio Priority
	// Counts are for the app's badge.
	Counts Counts
	// Content is the event's content, a JSON object; nil if there is none.
	Content json.RawMessage `json:",omitempty"`
	// Encrypted are the members of MSC3013 (encrypted push).
	Encrypted Encrypted

	// Badge says that this is a badge update: it has no event_id, room_id, type or content, and only tells counts. Anything else
	// is an alert.
	Badge bool

	// Body is the request body that the notification came in: see [Notification.Members]. It is nil once the content policy
	// or the provider reduced the notification.
	Body json.RawMessage `json:",omitempty"`

	// Prepared is what a provider's [Reducer] made of the notification for its own Push, in a form that only this provider knows; nil for
	// nothing.
	Prepared json.RawMessage `json:",omitempty"`

	decode  func(body json.RawMessage) map[string]json.RawMessage // see DecodeBy; nil for membersOf
	decoded *decoded                                              // of the body; nil if it is decoded at each call of Members
}

// decoded are the members of a body that is decoded once.
type decoded struct {
	once    sync.Once
	members map[string]json.RawMessage
}

// DecodeBy lets decode read the body for [Notification.Members], of the notification and of all that is derived from it from now on. The
// gateway does so, because its decoder takes a fraction of the time of encoding/json, and reads the same. It is called before the
// notification is shared.
//
// decode returns all members of the notification object in the body, the devices too, or nil if there is no such object. Names are
// case-sensitive, and of a member that comes twice, the last counts.
func (n *Notification) DecodeBy(decode func(body json.RawMessage) map[string]json.RawMessage) {
	n.decode = decode
}

// ShareMembers lets the notification, and all that is derived from it from now on, decode the body once. It is called before the
// notification is shared.
func (n *Notification) ShareMembers() { n.decoded = new(decoded) }

// Members are all members of the notification object as the homeserver sent them, also those that nobody knows, but for the
// devices, as no device learns of another, and the counts where the device wants none. They are nil if the content policy reduced the
// notification. They may be shared with others: read only.
func (n *Notification) Members() map[string]json.RawMessage {
	var members map[string]json.RawMessage
	switch {
	case n.Body == nil:
	case n.decoded == nil:
		members = n.deviceless()
	default:
		n.decoded.once.Do(func() { n.decoded.members = n.deviceless() })
		members = n.decoded.members
	}
	if n.Counts == (Counts{}) {
		return without(members, "counts")
	}
	return members
}

// deviceless decodes the members, and takes the devices out.
func (n *Notification) deviceless() map[string]json.RawMessage {
	decode := n.decode
	if decode == nil {
		decode = membersOf
	}
	members := decode(n.Body)
	maps.DeleteFunc(members, named("devices"))
	return members
}

// membersOf decodes the body of a notification without DecodeBy, such as a literal in a test, by the standard library only, as a contract
// must. Names are case-sensitive, because encoding/json ignores case only in the fields of a struct. Two notifications in one body are
// merged, as the gateway's decoder does: its FuzzMembers compares the two.
func membersOf(body json.RawMessage) map[string]json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(body))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil
	}
	var members map[string]json.RawMessage
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil
		}
		var value any = new(json.RawMessage)
		if name == "notification" {
			value = &members
		}
		if d.Decode(value) != nil {
			return nil
		}
	}
	if _, err := d.Token(); err != nil { // the end of the object
		return nil
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil
	}
	return members
}

// without are the members but for those that a client may take for the one named. It does not change what it is given.
func without(members map[string]json.RawMessage, unwanted string) map[string]json.RawMessage {
	for name := range members {
		if strings.EqualFold(name, unwanted) {
			fewer := maps.Clone(members)
			maps.DeleteFunc(fewer, named(unwanted))
			return fewer
		}
	}
	return members
}

// named reports whether a client may take a member for the one of that name.
func named(unwanted string) func(name string, _ json.RawMessage) bool {
	return func(name string, _ json.RawMessage) bool { return strings.EqualFold(name, unwanted) }
}

// Alone is the notification as it may be kept for one device: the body has no other devices in it.
func (n *Notification) Alone() *Notification {
	if n.Body == nil {
		return n
	}
	c := *n
	c.decoded = nil
	c.Body = marshal(map[string]any{"notification": n.Members()})
	return &c
}

// MaxKept is how many bytes of a notification are kept for later attempts, as JSON: of a larger one, [Notification.Kept] is kept.
const MaxKept = 16 << 10

// maxKeptID is how long an id may be in what is kept, as JSON. The specification allows 255 bytes.
const maxKeptID = 7 << 10

// Kept is the JSON of what is kept of a notification for later attempts: all of it, but for the other devices in its body, if that is no
// more than [MaxKept]. What a [Reducer] returns is. Otherwise the body is left out, then the content too, and in the end everything but
// ids, counts and priority.
func (n *Notification) Kept() json.RawMessage {
	poorer := []func(c *Notification){
		func(*Notification) {},
		func(c *Notification) { c.Body, c.Prepared = nil, nil },
		func(c *Notification) { c.Content = nil },
		func(c *Notification) { *c = *c.Reduced() },
		func(c *Notification) { c.Encrypted = Encrypted{} },
	}
	c := *n.Alone()
	for _, leaveOut := range poorer {
		leaveOut(&c)
		if len(c.Content)+len(c.Prepared)+len(c.Body) > MaxKept {
			continue
		}
		if kept := marshal(&c); len(kept) <= MaxKept {
			return kept
		}
	}
	// A cut id would be another one.
	for _, id := range []*string{&c.EventID, &c.RoomID} {
		if len(marshal(*id)) > maxKeptID {
			*id = ""
		}
	}
	return marshal(&c)
}

// marshal is json.Marshal that leaves <, > and & alone, so that raw JSON comes back as it was. What it gets can be marshalled: it was
// decoded before.
func marshal(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return nil
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// Counts are the numbers for the app's badge; nil where the homeserver sent none.
type Counts struct {
	// Unread is the number of unread messages or rooms, as the homeserver counts. Zero clears the badge.
	Unread *int64
	// MissedCalls is the number of missed calls.
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

// Badges says which counts are delivered.
type Badges uint8

const (
	// BadgesDefault leaves it to the provider.
	BadgesDefault Badges = iota
	// BadgesOn delivers badge updates, and counts with events.
	BadgesOn
	// BadgesWithEvents delivers counts with events, and no badge updates: a browser that is woken and shows nothing cancels the subscription.
	BadgesWithEvents
	// BadgesOff delivers no counts.
	BadgesOff
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

// WithoutBody is the notification without the body that it came in.
func (n *Notification) WithoutBody() *Notification {
	if n.Body == nil {
		return n
	}
	c := *n
	c.Body, c.decode, c.decoded = nil, nil, nil
	return &c
}

// WithoutCounts is the notification without the numbers for a badge.
func (n *Notification) WithoutCounts() *Notification {
	c := *n
	c.Counts = Counts{}
	return &c
}

// Device is one of a notification's devices.
type Device struct {
	// AppID is what the client calls its app, such as org.example.app.ios: at most 64 characters.
	AppID string
	// Pushkey is what the push service knows the device by, such as a token or an endpoint. It is a secret, and is echoed to the homeserver
	// byte for byte.
	Pushkey string
	// PushkeyTS is when the client last registered the pushkey, in milliseconds of Unix time by the homeserver's clock; 0 if
	// the homeserver did not say. Most homeservers send whole seconds.
	PushkeyTS int64
	// Data is the pusher's data, a JSON object of the client's; nil if there is none.
	Data json.RawMessage `json:",omitempty"`
	// Tweaks are what the push rules set, a JSON object; nil if there is none.
	Tweaks json.RawMessage `json:",omitempty"`
}
