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
	// errNothing means that a notification has neither an alert nor a badge count.
	errNothing = errors.New("nothing to show")

	// errTooLarge means that not even the ids fit.
	errTooLarge = errors.New("the payload is larger than APNs accepts")
)

// options are the operator's choices for payloads.
type options struct {
	// threadRoom groups an app's alerts by room: aps.thread-id is the room_id.
	threadRoom bool
	// faults reports members of default_payload that were left out; nil if nobody needs the reports.
	faults *clientjson.Faults
	// pushType is the name of the push type; empty is alert.
	pushType string
	// now is the time of a Live Activity's update.
	now time.Time
}

// message is a payload for a device.
type message struct {
	payload []byte

	// background means that there is nothing to show. Apple then requires the apns-push-type background and the apns-priority 5,
	// https://developer.apple.com/documentation/usernotifications/pushing-background-updates-to-your-app.
	background bool
}

// build makes the payload of a notification for a device, at most limit bytes long. It has the same members as Sygnal's.
func build(n *providers.Notification, to *providers.Device, o options, limit int) (message, error) {
	badge, counted := badgeOf(n.Counts)
	key, args := "", []string(nil)
	if n.Type != "" {
		key, args = locKey(n)
	}
	tells := !n.Badge && (n.Type == "" || key != "") // it is about an event
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
	case n.Type == "": // the pusher's format is event_id_only, or the content policy reduced it to that
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

// bare is the rest of a notification that does not fit even with all its texts cut: the app can fetch the event.
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

// wakeUp returns an aps that wakes the app to sync. With anything else in aps, Apple would not treat it as a background push.
func wakeUp() map[string]any {
	return map[string]any{"content-available": 1}
}

// badgeOf returns the number on the app's icon. Zero counts: it clears the badge.
func badgeOf(c providers.Counts) (badge int64, counted bool) {
	for _, count := range []*int64{c.Unread, c.MissedCalls} {
		if count != nil {
			badge += *count
			counted = true
		}
	}
	return badge, counted
}

// document is a payload in the making: the pusher's default_payload, overlaid with this notification.
type document struct {
	members map[string]any // all except aps
	aps     map[string]any
	// mayLackAPS means that an empty aps is left out.
	mayLackAPS bool
}

// newDocument starts from the pusher's default_payload, without the parts that Apple would not accept.
func newDocument(to *providers.Device, faults *clientjson.Faults) *document {
	defaults := clientjson.DefaultPayload(to, faults)
	d := &document{members: make(map[string]any, len(defaults)+6)}
	for name, value := range defaults {
		switch name {
		case "room_id", "event_id": // only the homeserver may set these
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

// defaultAPS returns the pusher's aps without invalid members; nil if it is not an object.
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

// object returns the members of a JSON object, each a [json.RawMessage]: numbers stay as the client wrote them.
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

// setCounts gives the counts to the app's extension, which decides what to do with them.
func (d *document) setCounts(c providers.Counts) {
	if c.Unread != nil {
		d.members["unread_count"] = *c.Unread
	}
	if c.MissedCalls != nil {
		d.members["missed_calls"] = *c.MissedCalls
	}
}

// setEncrypted adds the members that only the client can read (MSC3013), unless they do not fit: a part of them is useless.
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

// setAlert sets a localised text, and keeps the other members of a default alert, such as its title. A default alert that is a string has
// no place for the text, so it is replaced.
func (d *document) setAlert(key string, args []string, limit int) {
	for i := range args {
		// fit also starts with this, but only after measuring all of a long message.
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

// hasAlert reports whether there is something to show. An empty alert shows nothing, and no service extension runs for it.
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
	// encoding/json accepts invalid UTF-8, so it may appear in default_payload.
	return bytes.ToValidUTF8(b, []byte(string(utf8.RuneError)))
}
