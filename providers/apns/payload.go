package apns

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/pushtype"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

var (
	// errNothing says that a notification has neither an alert nor a number for the badge.
	errNothing = errors.New("nothing to show")

	// errTooLarge says that not even the ids fit.
	errTooLarge = errors.New("larger than APNs takes")
)

// options are what the operator may choose about payloads.
type options struct {
	// threadRoom groups an app's alerts by room: aps.thread-id is the room_id.
	threadRoom bool
	// faults reports a default_payload that was left out; nil if nobody wants to know.
	faults *clientjson.Faults
	// pushType is the name of the push type; empty is alert.
	pushType string
	// now is the time of a Live Activity's update.
	now time.Time
}

// message is what goes to a device.
type message struct {
	payload []byte

	// background says that there is nothing to show. Apple wants the apns-push-type background then, and the apns-priority 5,
	// https://developer.apple.com/documentation/usernotifications/pushing-background-updates-to-your-app.
	background bool
}

// build makes the payload of a notification for a device; it has at most limit bytes. The members are Sygnal's.
func build(n *providers.Notification, to *providers.Device, o options, limit int) (message, error) {
	badge, counted := badgeOf(n.Counts)
	key, args := "", []string(nil)
	if n.Type != "" {
		key, args = locKey(n)
	}
	tells := !n.Badge && (n.Type == "" || key != "") // an event that somebody is told of
	switch {
	case !tells && !counted:
		return message{}, errNothing
	case n.Badge, o.pushType == pushtype.Widgets, o.pushType == pushtype.Controls:
		return badgeUpdate(n.Counts, badge, o)
	case !tells && !takesCounts(o.pushType):
		return message{}, errUnsuited
	}
	d := newDocument(to, o.faults)
	if tells {
		d.setIDs(n)
	}
	switch {
	case n.Type == "": // the pusher's format is event_id_only, or the content policy made it so
		d.setCounts(n.Counts)
		d.setEncrypted(n.Encrypted, limit)
	case !showsAlerts(o.pushType):
		d.setCounts(n.Counts)
	default:
		if counted {
			d.aps["badge"] = badge
		}
		if key != "" {
			d.setAlert(key, args, limit)
		}
	}
	background := d.setType(n, o)
	if o.threadRoom && n.RoomID != "" && d.hasAlert() {
		d.aps["thread-id"] = n.RoomID
	}
	if fitting, ok := d.fit(limit); ok {
		return message{payload: fitting, background: background}, nil
	}
	return bare(n, o, limit)
}

// bare is what remains of a notification that does not fit, not even with all its texts cut: the app may fetch what happened.
func bare(n *providers.Notification, o options, limit int) (message, error) {
	d := &document{members: make(map[string]any), aps: make(map[string]any)}
	d.setIDs(n)
	d.setCounts(n.Counts)
	m := message{background: d.setType(n.Reduced(), o)}
	if m.payload = d.marshal(); len(m.payload) > limit {
		return message{}, errTooLarge
	}
	return m, nil
}

// wakeUp asks the app to wake up and see for itself. Anything else in aps would make it no background push to Apple.
func wakeUp() map[string]any {
	return map[string]any{"content-available": 1}
}

// badgeOf is the number on the app's icon. Zero is a number: it clears the badge.
func badgeOf(c providers.Counts) (badge int64, counted bool) {
	for _, count := range []*int64{c.Unread, c.MissedCalls} {
		if count != nil {
			badge += *count
			counted = true
		}
	}
	return badge, counted
}

// document is a payload on its way: what the pusher wants in every message, under what this message says itself.
type document struct {
	members map[string]any // all but aps
	aps     map[string]any
	// mayLackAPS says that an empty aps is left out.
	mayLackAPS bool
}

// newDocument is the pusher's default_payload. What Apple would not take of it is left out.
func newDocument(to *providers.Device, faults *clientjson.Faults) *document {
	defaults := clientjson.DefaultPayload(to, faults)
	d := &document{members: make(map[string]any, len(defaults)+6)}
	for name, value := range defaults {
		switch name {
		case "room_id", "event_id": // those are the homeserver's alone to give
		case "aps":
			d.aps = defaultAPS(value, to, faults)
		default:
			d.members[name] = value
		}
	}
	if d.aps == nil {
		d.aps = make(map[string]any)
	}
	return d
}

// defaultAPS is aps as the pusher wants it, as far as it can be one; nil if it is not an object.
func defaultAPS(value json.RawMessage, to *providers.Device, faults *clientjson.Faults) map[string]any {
	if isNull(value) {
		return nil
	}
	aps, ok := object(value)
	if !ok {
		faults.LeftOut(to, "default_payload.aps", "a JSON object")
		return nil
	}
	alert, ok := aps["alert"].(json.RawMessage)
	switch {
	case !ok, alert[0] == '{', alert[0] == '"':
		return aps
	case !isNull(alert):
		faults.LeftOut(to, "default_payload.aps.alert", "a JSON object or a string")
	}
	delete(aps, "alert")
	return aps
}

func isNull(value json.RawMessage) bool { return value[0] == 'n' }

// object are the members of a JSON object, each a [json.RawMessage]: numbers stay as the client wrote them.
func object(value json.RawMessage) (map[string]any, bool) {
	raw, ok := clientjson.Members(value)
	if !ok {
		return nil, false
	}
	members := make(map[string]any, len(raw)+2)
	for name, value := range raw {
		members[name] = value
	}
	return members, true
}

func (d *document) setIDs(n *providers.Notification) {
	d.setString("room_id", n.RoomID)
	d.setString("event_id", n.EventID)
}

func (d *document) setString(name, value string) {
	if value != "" {
		d.members[name] = value
	}
}

// setCounts gives the numbers to the app's extension, which knows best what to make of them.
func (d *document) setCounts(c providers.Counts) {
	if c.Unread != nil {
		d.members["unread_count"] = *c.Unread
	}
	if c.MissedCalls != nil {
		d.members["missed_calls"] = *c.MissedCalls
	}
}

// setEncrypted adds what only the client can read (MSC3013), unless it does not fit: a part of it is good for nothing.
func (d *document) setEncrypted(e providers.Encrypted, limit int) {
	if e == (providers.Encrypted{}) {
		return
	}
	d.setString("ciphertext", e.Ciphertext)
	d.setString("ephemeral", e.Ephemeral)
	d.setString("mac", e.MAC)
	if len(d.marshal()) > limit {
		for _, name := range []string{"ciphertext", "ephemeral", "mac"} {
			delete(d.members, name)
		}
	}
}

// setAlert shows a localised text, with what else a default alert says: its title, for example. A default alert that is a string
// has no place for it, and gives way.
func (d *document) setAlert(key string, args []string, limit int) {
	for i := range args {
		// fit begins so as well, but after it measured all of a long message.
		args[i] = strings.ToValidUTF8(cutTo(args[i], limit), string(utf8.RuneError))
	}
	raw, _ := d.aps["alert"].(json.RawMessage)
	alert, ok := object(raw)
	if !ok {
		alert = make(map[string]any, 2)
	}
	alert["loc-key"], alert["loc-args"] = key, args
	d.aps["alert"] = alert
}

// hasAlert says whether there is something to show. An empty alert shows nothing, and a service extension does not run for it.
func (d *document) hasAlert() bool {
	switch alert := d.aps["alert"].(type) {
	case json.RawMessage:
		return len(bytes.TrimSpace(alert[1:len(alert)-1])) != 0
	default:
		return alert != nil
	}
}

func (d *document) marshal() []byte {
	if d.members["aps"] = d.aps; len(d.aps) == 0 && d.mayLackAPS {
		delete(d.members, "aps")
	}
	b := clientjson.Marshal(d.members)
	if utf8.Valid(b) {
		return b
	}
	// What is not valid UTF-8 is valid to encoding/json, and so may stand in default_payload.
	return bytes.ToValidUTF8(b, []byte(string(utf8.RuneError)))
}
