package fcm

import (
	"cmp"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// draft is the data of a message while it is made to fit.
//
// What goes first is what the client misses least, and can fetch by itself. In Sygnal's form: the content's members but for body and
// msgtype, the largest first; the end of the body, or all of it where little would be left; msgtype; the names and the sender. In
// Hedwig's: the content, all at once, as FluffyChat takes for the event what there is of it (getEventByPushNotification in
// https://github.com/famedly/matrix-dart-sdk/blob/main/lib/src/client.dart), and fetches the event if there is none; the names and
// the sender; what may be missing of the device.
// In both, at last: what MSC3013 encrypted, all of it, unless that is all there is; the default_payload's members, the largest
// first; the device. The ids, the priority and the counts always stay. Of two of the same size the first by name goes first.
type draft struct {
	own      map[string]string // what the notification says
	defaults map[string]string // what the default_payload says, and the notification does not
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

// shrinkSygnal makes a message of Sygnal's form fit, as far as it can.
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

// dropContent drops the content's members that are less than what it says.
func (m *draft) dropContent() {
	if m.over <= 0 {
		return
	}
	m.drop(m.own, largestFirst(m.own, func(name string) bool {
		return strings.HasPrefix(name, contentPrefix) && name != contentBody && name != contentMsgtype
	})...)
}

// shrinkHedwig makes a message of Hedwig's form fit, as far as it can.
func (m *draft) shrinkHedwig(n *providers.Notification, d *providers.Device) {
	if m.over <= 0 {
		return
	}
	m.drop(m.own, "content", "room_alias", "room_name", "sender_display_name", "user_is_target", "type", "sender")
	m.replace("devices", devices(d, false))
	m.dropLast(n)
	m.replace("devices", "[]") // the parser throws if there is none
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

// drop drops one by one as long as there is too much.
func (m *draft) drop(from map[string]string, names ...string) {
	for _, name := range names {
		if m.over <= 0 {
			return
		}
		m.remove(from, name)
	}
}

// remove removes a member, if it is there.
func (m *draft) remove(from map[string]string, name string) {
	if value, ok := from[name]; ok {
		m.over -= len(name) + len(value)
		delete(from, name)
	}
}

// minText is how much of a cut text is worth reading, in bytes.
const minText = 100

// cutOrDrop cuts as much from the end of a text as is too much, or drops it if little would be left.
func (m *draft) cutOrDrop(name string) {
	if rest := len(m.own[name]) - m.over; m.over > 0 && rest >= minText {
		m.replace(name, cut(m.own[name], rest))
		return
	}
	m.drop(m.own, name)
}

// replace puts a shorter value in the place of one, if there is too much.
func (m *draft) replace(name, value string) {
	if m.over > 0 {
		m.over -= len(m.own[name]) - len(value)
		m.own[name] = value
	}
}

// largestFirst are the names of members, the largest member first.
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
