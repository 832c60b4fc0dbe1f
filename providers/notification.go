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

// Notification is a Matrix notification without its devices, as https://spec.matrix.org/v1.15/push-gateway-api/#post_matrixpushv1notify
// defines it and as real homeservers send it. A member that is absent, null or empty is the zero value. A notification is immutable
// once decoded.
//
// The outbox keeps it as JSON. Members that are nil are omitted, because a [json.RawMessage] reads null as its four letters.
type Notification struct {
	// EventID is the event's id. Homeservers repeat it when they send a notification again.
	EventID string
	// RoomID is the room's id.
	RoomID string
	// Type is the event's type, such as m.room.message or m.room.encrypted.
	Type string
	// Sender is the Matrix ID of the event's sender.
	Sender string
	// SenderDisplayName is the sender's display name.
	SenderDisplayName string
	// RoomName is the room's name. Homeservers make one up for rooms without a name.
	RoomName string
	// RoomAlias is the room's alias, such as #room:example.org.
	RoomAlias string
	// Membership is sent by Synapse and Dendrite for m.room.member events. It is not in the specification.
	Membership string
	// UserIsTarget reports whether a membership event is about the recipient.
	UserIsTarget bool
	// Prio is high unless the homeserver sent low.
	Prio Priority
	// Counts are for the app's badge.
	Counts Counts
	// Content is the event's content, a JSON object; nil if there is none.
	Content json.RawMessage `json:",omitempty"`
	// Encrypted has the members of MSC3013 (encrypted push).
	Encrypted Encrypted

	// Badge reports whether this is a badge update: it has only counts, and no event_id, room_id, type or content. Anything else is an
	// alert.
	Badge bool

	// Wake reports whether the notification only wakes the device, so its app connects to its server. It has no event, and it may have no
	// counts either. Of a device's pending ones with the same priority and Account, only the newest is delivered. Matrix homeservers send
	// none; XMPP servers do.
	Wake bool `json:",omitempty"`

	// Body is the request body that contained the notification: see [Notification.Members]. It is nil once the content policy or the
	// provider reduced the notification.
	Body json.RawMessage `json:",omitempty"`

	// Prepared is what a provider's [Reducer] made of the notification for its Push, in a form that only this provider knows. It is nil if
	// there is nothing.
	Prepared json.RawMessage `json:",omitempty"`

	decode  func(body json.RawMessage) map[string]json.RawMessage // see DecodeBy; nil for membersOf
	decoded *decoded                                              // of the body; nil if each call of Members decodes it
}

// decoded has the members of a body that is decoded once.
type decoded struct {
	once    sync.Once
	members map[string]json.RawMessage
}

// DecodeBy makes [Notification.Members] read the body with decode, for this notification and all that are derived from it from now on.
// The gateway uses this because its decoder takes a fraction of the time of encoding/json, with the same result. Call it before the
// notification is shared.
//
// decode returns all members of the notification object in the body, including the devices, or nil if there is no such object. Names
// are case-sensitive. If a member occurs twice, the last one counts.
func (n *Notification) DecodeBy(decode func(body json.RawMessage) map[string]json.RawMessage) {
	n.decode = decode
}

// ShareMembers makes the notification, and all that are derived from it from now on, decode the body only once. Call it before the
// notification is shared.
func (n *Notification) ShareMembers() { n.decoded = new(decoded) }

// Members returns all members of the notification object as the homeserver sent them, including unknown ones. It omits the devices,
// since no device may learn of another, and the counts if the device wants none. It returns nil if the content policy reduced the
// notification. The map may be shared, so it is read-only.
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

// deviceless returns the members without the devices.
func (n *Notification) deviceless() map[string]json.RawMessage {
	decode := n.decode
	if decode == nil {
		decode = membersOf
	}
	members := decode(n.Body)
	maps.DeleteFunc(members, named("devices"))
	return members
}

// membersOf decodes the body of a notification without DecodeBy, such as a literal in a test. It uses only the standard library, as a
// contract must. Names are case-sensitive, because encoding/json ignores case only in the fields of a struct. Two notifications in one
// body are merged, as the gateway's decoder does; its FuzzMembers compares the two.
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

// without returns the members except those that a client may take for the named one. It does not change its argument.
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

// named returns a function that reports whether a client may take a member for the one with that name.
func named(unwanted string) func(name string, _ json.RawMessage) bool {
	return func(name string, _ json.RawMessage) bool { return strings.EqualFold(name, unwanted) }
}

// Alone returns the notification as it may be kept for one device: without other devices in its body.
func (n *Notification) Alone() *Notification {
	if n.Body == nil {
		return n
	}
	c := *n
	c.decoded = nil
	c.Body = marshal(map[string]any{"notification": n.Members()})
	return &c
}

// MaxKept is how many bytes of a notification are kept as JSON for later attempts. [Notification.Kept] reduces larger ones.
const MaxKept = 16 << 10

// maxKeptID is the maximum length of an id in what is kept, as JSON. The specification allows 255 bytes.
const maxKeptID = 7 << 10

// Kept returns what is kept of a notification for later attempts, as JSON. Up to [MaxKept], that is everything except the other devices
// in its body. A [Reducer] returns no more than that. For a larger notification, the body is omitted, then the content as well, and in
// the end everything except ids, counts and priority.
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
	// A truncated id would be a different id.
	for _, id := range []*string{&c.EventID, &c.RoomID} {
		if len(marshal(*id)) > maxKeptID {
			*id = ""
		}
	}
	return marshal(&c)
}

// marshal is json.Marshal, but it does not escape <, > and &, so raw JSON stays as it was. Its values were decoded before, so they can
// always be marshalled.
func marshal(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return nil
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// Counts are the numbers for the app's badge. A number that the homeserver did not send is nil.
type Counts struct {
	// Unread is the number of unread messages or rooms, as the homeserver counts. Zero clears the badge.
	Unread *int64
	// MissedCalls is the number of missed calls.
	MissedCalls *int64
}

// Encrypted has the three members of an encrypted push, https://github.com/matrix-org/matrix-spec-proposals/pull/3013. Only the client
// can read them.
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

// String returns the priority as the protocol writes it.
func (p Priority) String() string {
	if p == PrioLow {
		return "low"
	}
	return "high"
}

// Content is how much of a notification may leave the gateway.
type Content uint8

const (
	// ContentDefault lets the provider decide.
	ContentDefault Content = iota
	// ContentIDs lets only ids, counts and the priority leave, and what the homeserver encrypted for the client.
	ContentIDs
	// ContentFull lets everything leave.
	ContentFull
)

// Badges is which counts are delivered.
type Badges uint8

const (
	// BadgesDefault lets the provider decide.
	BadgesDefault Badges = iota
	// BadgesOn delivers badge updates, and counts with events.
	BadgesOn
	// BadgesWithEvents delivers counts with events, but no badge updates. A browser cancels a subscription if a push wakes it and shows
	// nothing.
	BadgesWithEvents
	// BadgesOff delivers no counts.
	BadgesOff
)

// Reduced returns the notification with only what [ContentIDs] lets leave.
func (n *Notification) Reduced() *Notification {
	return &Notification{
		EventID:   n.EventID,
		RoomID:    n.RoomID,
		Prio:      n.Prio,
		Counts:    n.Counts,
		Encrypted: n.Encrypted,
		Badge:     n.Badge,
		Wake:      n.Wake,
	}
}

// WithoutBody returns the notification without its request body.
func (n *Notification) WithoutBody() *Notification {
	if n.Body == nil {
		return n
	}
	c := *n
	c.Body, c.decode, c.decoded = nil, nil, nil
	return &c
}

// WithoutCounts returns the notification without the counts.
func (n *Notification) WithoutCounts() *Notification {
	c := *n
	c.Counts = Counts{}
	return &c
}

// Device is one of a notification's devices.
type Device struct {
	// AppID is the client's name for its app, such as org.example.app.ios. It has at most 64 characters.
	AppID string
	// Pushkey is what the push service knows the device by, such as a token or an endpoint. It is a secret. The homeserver gets it back
	// byte for byte.
	Pushkey string
	// PushkeyTS is when the client last registered the pushkey, in milliseconds of Unix time by the homeserver's clock. It is 0 if the
	// homeserver did not send it. Most homeservers send whole seconds.
	PushkeyTS int64
	// Data is the pusher's data, a JSON object from the client; nil if there is none.
	Data json.RawMessage `json:",omitempty"`
	// Tweaks are the tweaks that the push rules set, a JSON object; nil if there are none.
	Tweaks json.RawMessage `json:",omitempty"`
	// Account tells the accounts apart that share a pushkey, such as those of an XMPP client. It also differs for pushes with a separate
	// content in Data. It is empty for Matrix. A notification that only wakes the device replaces only those for the same Account. It is
	// not sent.
	Account string `json:",omitempty"`
}
