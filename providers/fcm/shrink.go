package fcm

import (
	"cmp"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// draft is the data of a message while it is made to fit.
//
// First to go is what the client misses least and can fetch. In Sygnal's form: the content's members except body and msgtype, the largest
// first; the end of the body, or all of it if little would be left; msgtype; the names and the sender. In Hedwig's form: the whole content
// at once, since FluffyChat takes a partial content for the event (getEventByPushNotification in
// https://github.com/famedly/matrix-dart-sdk/blob/main/lib/src/client.dart), but fetches the event without one; the names and the sender;
// the optional parts of the device.
// Last to go in both: MSC3013's members, all together, unless they are all there is; the default_payload's members, the largest first; the
// device. The ids, the priority and the counts always stay. Of two members of the same size, the first by name goes first.
type draft struct {
	own      map[string]string // from the notification
	defaults map[string]string // from the default_payload, unless the notification has them
	over     int               // how many bytes are too many
}

func newDraft(own, defaults map[string]string, limit int) *draft {
	m := &draft{own: own, defaults: defaults, over: -limit}
	for name, value := range own {
		delete(defaults, name)
		m.over += len(name) + len(value)
	}
	for name, value := range defaults {
		m.over += len(name) + len(value)
	}
	return m
}

// shrinkSygnal makes a message of Sygnal's form fit, as far as possible.
func (m *draft) shrinkSygnal(n *providers.Notification) {
	if m.over <= 0 {
		return
	}
	m.dropContent()
	m.cutOrDrop(contentBody)
	m.drop(m.own, contentMsgtype, "room_alias", "room_name", "sender_display_name", "membership", "type", "sender")
	m.dropLast(n)
}

const contentBody, contentMsgtype = contentPrefix + "body", contentPrefix + "msgtype"

// dropContent drops the content's members that matter less than its text.
func (m *draft) dropContent() {
	if m.over <= 0 {
		return
	}
	m.drop(m.own, largestFirst(m.own, func(name string) bool {
		return strings.HasPrefix(name, contentPrefix) && name != contentBody && name != contentMsgtype
	})...)
}

// shrinkHedwig makes a message of Hedwig's form fit, as far as possible.
func (m *draft) shrinkHedwig(n *providers.Notification, d *providers.Device) {
	if m.over <= 0 {
		return
	}
	m.drop(m.own, "content", "room_alias", "room_name", "sender_display_name", "user_is_target", "type", "sender")
	m.replace("devices", devices(d, false))
	m.dropLast(n)
	m.replace("devices", "[]") // the parser throws without it
}

// dropLast drops what goes last in both forms.
func (m *draft) dropLast(n *providers.Notification) {
	if m.over > 0 && hasClearText(n) {
		for _, name := range []string{"ciphertext", "ephemeral", "mac"} {
			m.remove(m.own, name)
		}
	}
	m.drop(m.defaults, largestFirst(m.defaults, func(string) bool { return true })...)
}

// drop drops members one by one while the message is too large.
func (m *draft) drop(from map[string]string, names ...string) {
	for _, name := range names {
		if m.over <= 0 {
			return
		}
		m.remove(from, name)
	}
}

// remove removes a member if it is there.
func (m *draft) remove(from map[string]string, name string) {
	if value, ok := from[name]; ok {
		m.over -= len(name) + len(value)
		delete(from, name)
	}
}

// minText is how many bytes of a cut text are worth reading.
const minText = 100

// cutOrDrop cuts the end of a text to make the message fit, or drops the text if little would be left.
func (m *draft) cutOrDrop(name string) {
	if rest := len(m.own[name]) - m.over; m.over > 0 && rest >= minText {
		m.replace(name, cut(m.own[name], rest))
		return
	}
	m.drop(m.own, name)
}

// replace replaces a value with a shorter one if the message is too large.
func (m *draft) replace(name, value string) {
	if m.over > 0 {
		m.over -= len(m.own[name]) - len(value)
		m.own[name] = value
	}
}

// largestFirst returns the names of members, the largest member first.
func largestFirst(members map[string]string, which func(name string) bool) []string {
	var names []string
	for name := range members {
		if which(name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b)+len(members[b]), len(a)+len(members[a])), strings.Compare(a, b))
	})
	return names
}
