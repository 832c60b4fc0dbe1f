package apns

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/internal/pushtype"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/readonce"
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
	// known has the default_payloads that were read last; nil if none are remembered.
	known *readonce.Devices[*defaults]
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
	d := newDocument(to, o)
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
			d.aps.setNumber("badge", badge)
		}
		if key != "" {
			d.setAlert(key, args, limit)
		}
	}
	background := d.setType(n, o)
	if o.threadRoom && n.RoomID != "" && d.hasAlert() {
		d.aps.setString("thread-id", n.RoomID)
	}
	if fitting, ok := d.fit(limit); ok {
		return message{payload: fitting, background: background}, nil
	}
	return bare(n, o, limit)
}

// bare is the rest of a notification that does not fit even with all its texts cut: the app can fetch the event.
func bare(n *providers.Notification, o options, limit int) (message, error) {
	d := new(document)
	d.setIDs(n)
	d.setCounts(n.Counts)
	m := message{background: d.setType(n.Reduced(), o)}
	if m.payload = d.marshal(); len(m.payload) > limit {
		return message{}, errTooLarge
	}
	return m, nil
}

// wakeUp returns an aps that wakes the app to sync. With anything else in aps, Apple would not treat it as a background push.
func wakeUp() object {
	return object{{Name: "content-available", Value: json.RawMessage("1")}}
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
	members object // aps is replaced when the payload is written
	aps     object
	// mayLackAPS means that an empty aps is left out.
	mayLackAPS bool
}

// newDocument starts from the pusher's default_payload.
func newDocument(to *providers.Device, o options) *document {
	from := defaultsOf(to, o.known)
	if from.fault != (fault{}) {
		o.faults.LeftOut(to, from.fault.member, from.fault.must)
	}
	return &document{members: from.members.clone(), aps: from.aps.clone()}
}

func (d *document) setIDs(n *providers.Notification) {
	d.setString("room_id", n.RoomID)
	d.setString("event_id", n.EventID)
}

func (d *document) setString(name, value string) {
	if value != "" {
		d.members.setString(name, value)
	}
}

// setCounts gives the counts to the app's extension, which decides what to do with them.
func (d *document) setCounts(c providers.Counts) {
	if c.Unread != nil {
		d.members.setNumber("unread_count", *c.Unread)
	}
	if c.MissedCalls != nil {
		d.members.setNumber("missed_calls", *c.MissedCalls)
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
		d.members.remove("ciphertext", "ephemeral", "mac")
	}
}

// setAlert sets a localised text, and keeps the other members of a default alert, such as its title. A default alert that is a string has
// no place for the text, so it is replaced.
func (d *document) setAlert(key string, args []string, limit int) {
	for i := range args {
		// fit also starts with this, but only after measuring all of a long message.
		args[i] = strings.ToValidUTF8(cutTo(args[i], limit), string(utf8.RuneError))
	}
	alert := object(lenient.Object(d.aps.get("alert")))
	alert.setString("loc-key", key)
	alert.set("loc-args", appendStrings(nil, args))
	d.aps.set("alert", alert.marshal())
}

// hasAlert reports whether there is something to show. An empty alert shows nothing, and no service extension runs for it.
func (d *document) hasAlert() bool {
	alert := d.aps.get("alert")
	return len(alert) > 0 && len(bytes.TrimSpace(alert[1:len(alert)-1])) != 0
}

func (d *document) marshal() []byte {
	if len(d.aps) > 0 || !d.mayLackAPS {
		d.members.set("aps", d.aps.marshal())
	} else {
		d.members.remove("aps")
	}
	b := d.members.marshal()
	if utf8.Valid(b) {
		return b
	}
	// The decoder accepts invalid UTF-8, so it may appear in default_payload.
	return bytes.ToValidUTF8(b, []byte(string(utf8.RuneError)))
}
