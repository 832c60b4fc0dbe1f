package pushrules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Event is an event as a client sees it.
type Event struct {
	members map[string]any
}

// ParseEvent reads an event. An event has a type, and may have any other members.
func ParseEvent(data []byte) (*Event, error) {
	var e Event
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&e.members); err != nil {
		return nil, fmt.Errorf("the event is not a JSON object: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the event is followed by something else")
	}
	if _, ok := e.members["type"].(string); !ok {
		return nil, errors.New("type: the event has no type")
	}
	// Synapse's client API repeats the sender here. The event that it evaluates doesn't have this member.
	delete(e.members, "user_id")
	return &e, nil
}

// Type returns the event's type.
func (e *Event) Type() string { return e.text("type") }

// Sender returns the id of the user who sent the event.
func (e *Event) Sender() string { return e.text("sender") }

// StateKey returns the state key, and reports whether the event is a state event.
func (e *Event) StateKey() (string, bool) {
	key, ok := e.members["state_key"].(string)
	return key, ok
}

// Member returns the member with a name, such as content.
func (e *Event) Member(name string) (any, bool) {
	value, ok := e.members[name]
	return value, ok
}

// Encrypted reports whether the content is encrypted. The client decrypts such an event, and evaluates the rules again.
func (e *Event) Encrypted() bool { return e.Type() == "m.room.encrypted" }

func (e *Event) text(name string) string {
	s, _ := e.members[name].(string)
	return s
}

// content returns the member of the content with a name.
func (e *Event) content(name string) (any, bool) { return find(e.members, []string{"content", name}) }

// Viewer is the user whose rules are evaluated, with what the homeserver knows about the room.
type Viewer struct {
	UserID string
	// DisplayName is the user's display name in the room.
	DisplayName string
	// ProfileTag is the profile tag of the user's device. Only rules of 2015 and 2016 use it.
	ProfileTag string
	// Ignored has the users whom this user ignores.
	Ignored []string
	// Members is the number of joined members.
	Members uint64
	// SenderPower is the sender's power level, or nil if it is unknown. [Power] returns it.
	SenderPower *int64
	// Levels has the notification levels of the room, as [Power] returns them. The default of each key is 50.
	Levels map[string]int64
	// Features has the push features of the room version (MSC3931).
	Features []string
	// Subscribed reports whether the user subscribed to the thread, or is nil outside a thread (MSC4306).
	Subscribed *bool
	// Related has the events that this event may relate to, by event id (MSC3664).
	Related map[string]*Event
}
