// Package messagesize makes messages fit the limits of push services: it measures texts in JSON, and leaves out what clients don't show.
package messagesize

import (
	"strings"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Size returns how many bytes a text takes in JSON, as clientjson.Marshal writes it, without the quotes.
func Size(text string) (size int) {
	for _, r := range text {
		size += sizeOf(r)
	}
	return size
}

func sizeOf(r rune) int {
	switch {
	case r == '"', r == '\\', r == '\b', r == '\f', r == '\n', r == '\r', r == '\t':
		return 2
	case r < ' ', r == '\u2028', r == '\u2029':
		return 6
	}
	return utf8.RuneLen(r)
}

// IsSmall reports whether a notification is so small that it fits whole into a message of limit bytes, however its texts are escaped.
// Nearly all are.
func IsSmall(n *providers.Notification, limit int) bool {
	texts := len(n.EventID) + len(n.RoomID) + len(n.Type) + len(n.Sender) + len(n.SenderDisplayName) + len(n.RoomName) + len(n.RoomAlias) +
		len(n.Membership) + len(n.Encrypted.Ciphertext) + len(n.Encrypted.Ephemeral) + len(n.Encrypted.MAC)
	return 6*texts+len(n.Content)+len(`{"sender_display_name":""}`)*20 <= limit
}

// What does not fit is never sent, so it need not be stored. Later attempts must still know that it does not fit, so the shortest text that
// does not fit either replaces it.

func oversize(limit int) string { return strings.Repeat("x", limit+1) }

// OversizeIDs reports whether the ids by themselves take more than limit bytes by the size function. If so, it returns a notification
// reduced to oversized ids. Ids are never cut, since that would make them other ids.
func OversizeIDs(n *providers.Notification, limit int, size func(string) int) (*providers.Notification, bool) {
	if len(n.EventID)+len(n.RoomID) <= limit/6 || size(n.EventID)+size(n.RoomID) <= limit {
		return n, false
	}
	n = n.Reduced()
	n.Encrypted = providers.Encrypted{}
	if n.EventID != "" {
		n.EventID, n.RoomID = oversize(limit), ""
	} else {
		n.RoomID = oversize(limit)
	}
	return n, true
}

// OversizeEncrypted reports whether the members of MSC3013 by themselves take more than limit bytes by the size function. If so, it returns
// their replacement.
func OversizeEncrypted(e providers.Encrypted, limit int, size func(string) int) (providers.Encrypted, bool) {
	if size(e.Ciphertext)+size(e.Ephemeral)+size(e.MAC) <= limit {
		return e, false
	}
	return providers.Encrypted{Ciphertext: oversize(limit)}, true
}
