package webpush

import (
	"encoding/json"
	"iter"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/jsonwrite"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/messagesize"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// bodies returns the forms of a notification, from the first one, which is made by [whole], to its ids, each smaller than the one before.
// The members are Sygnal's.
//
// The content goes first: the members that no client shows, then the end of its body, then the rest. Then the names go, which may leave
// room for the content again. Then sender and type go, and the content with them, as no client shows one without a sender. The client's
// default_payload stays until only the ids are left: it tells a client with several accounts which of them a message is for.
func bodies(n *providers.Notification, defaults []lenient.Member, first []byte) iter.Seq[[]byte] {
	return messagesize.Shrinking(func(yield func([]byte) bool) {
		if !yield(first) {
			return
		}
		content := trim(n.Content)
		for _, named := range []bool{true, false} {
			for _, form := range messagesize.Contents(content, webpushmessage.MaxEncrypted, described(n, defaults, named)) {
				if !yield(form) {
					return
				}
			}
		}
		if yield(message(idsOf(n), defaults, nil)) {
			yield(message(idsOf(n), nil, nil))
		}
	})
}

// whole returns the first form of a notification. Nearly always, it fits.
func whole(n *providers.Notification, defaults []lenient.Member) []byte {
	return message(n, defaults, trimmed(n.Content))
}

// described returns a function that makes a message with a content, and with the names of the room and the sender if named is true.
func described(
	n *providers.Notification, defaults []lenient.Member, named bool,
) func(content map[string]json.RawMessage) []byte {
	if !named {
		nameless := *n
		nameless.RoomName, nameless.RoomAlias, nameless.SenderDisplayName = "", "", ""
		n = &nameless
	}
	return func(content map[string]json.RawMessage) []byte {
		return message(n, defaults, jsonwrite.Sorted(content))
	}
}

// Reduce leaves out the parts that do not fit even without a default_payload, and the part of the content that no message has.
func (p *Provider) Reduce(n *providers.Notification) *providers.Notification {
	if messagesize.IsSmall(n, webpushmessage.MaxEncrypted) {
		return n.WithoutBody()
	}
	if ids, too := messagesize.OversizeIDs(n, webpushmessage.MaxEncrypted, messagesize.Size); too {
		return ids
	}
	reduced := &providers.Notification{
		EventID: n.EventID, RoomID: n.RoomID, Prio: n.Prio, Counts: n.Counts, Badge: n.Badge, Wake: n.Wake,
	}
	nameless := described(n, nil, false)
	if len(nameless(nil)) > webpushmessage.MaxEncrypted {
		return reduced
	}
	reduced.Type, reduced.Sender, reduced.Membership, reduced.UserIsTarget = n.Type, n.Sender, n.Membership, n.UserIsTarget
	if len(described(n, nil, true)(nil)) <= webpushmessage.MaxEncrypted {
		reduced.RoomName, reduced.RoomAlias, reduced.SenderDisplayName = n.RoomName, n.RoomAlias, n.SenderDisplayName
	}
	for content, form := range messagesize.Contents(trim(n.Content), webpushmessage.MaxEncrypted, nameless) {
		if len(form) <= webpushmessage.MaxEncrypted {
			if content != nil {
				reduced.Content = clientjson.Marshal(content)
			}
			break
		}
	}
	return reduced
}

// idsOf returns a notification with nothing but its ids and counts.
func idsOf(n *providers.Notification) *providers.Notification {
	return &providers.Notification{EventID: n.EventID, RoomID: n.RoomID, Counts: n.Counts}
}

// room is how many bytes a message without a content and a default_payload nearly always takes at most.
const room = 512

// message returns a message with these members of a content, merged over the pusher's defaults. All members are sorted by name.
func message(n *providers.Notification, defaults []lenient.Member, content []lenient.Member) []byte {
	size := room
	for _, m := range content {
		size += len(m.Name) + len(m.Value)
	}
	w := jsonwrite.New(size)
	w.Merge(defaults)
	w.Open()
	w.Object("content", content)
	w.Text("event_id", n.EventID)
	w.Text("membership", n.Membership)
	w.Number("missed_calls", n.Counts.MissedCalls)
	w.Text("room_alias", n.RoomAlias)
	w.Text("room_id", n.RoomID)
	w.Text("room_name", n.RoomName)
	w.Text("sender", n.Sender)
	w.Text("sender_display_name", n.SenderDisplayName)
	w.Text("type", n.Type)
	w.Number("unread", n.Counts.Unread)
	w.Bool("user_is_target", n.UserIsTarget)
	w.Close()
	return w.Bytes()
}

// defaultsIn returns the members of a default_payload, without those that only the homeserver may set; none if it is not an object.
func defaultsIn(value json.RawMessage) []lenient.Member {
	members := lenient.Object(value)
	kept := make([]lenient.Member, 0, len(members)) // no larger than needed, since it is remembered
	for _, m := range members {
		if m.Name != "event_id" && m.Name != "room_id" {
			kept = append(kept, m)
		}
	}
	return kept
}

// isWrong reports whether there is a default_payload that is not an object.
func isWrong(value json.RawMessage) bool { return len(value) > 0 && value[0] != '{' && value[0] != 'n' }

const (
	maxText       = 1000 // characters of a message's body
	maxCiphertext = 2000
)

// trim is [trimmed] as a map.
func trim(content json.RawMessage) map[string]json.RawMessage {
	members := make(map[string]json.RawMessage)
	for _, m := range trimmed(content) {
		members[m.Name] = m.Value
	}
	return members
}

// trimmed returns the members of an event's content without what a notification does not show: the formatted body, the rest of a long body,
// and a ciphertext that would not fit.
func trimmed(content json.RawMessage) []lenient.Member {
	members := lenient.Object(content)
	kept := members[:0]
	for _, m := range members {
		var text string
		switch m.Name {
		case "formatted_body":
			continue
		case "body":
			if mayExceed(m.Value, maxText) && lenient.Unmarshal(m.Value, &text) == nil && utf8.RuneCountInString(text) > maxText {
				m.Value = clientjson.Marshal(string([]rune(text)[:maxText-1]) + "…")
			}
		case "ciphertext":
			if mayExceed(m.Value, maxCiphertext) && lenient.Unmarshal(m.Value, &text) == nil && len(text) > maxCiphertext {
				continue
			}
		}
		kept = append(kept, m)
	}
	return kept
}

// mayExceed reports whether a value may be a text of more than limit bytes, so it is worth decoding. A text has fewer bytes than its JSON,
// unless that is invalid UTF-8, whose bytes are replaced with three each.
func mayExceed(value json.RawMessage, limit int) bool {
	return len(value) > limit+len(`""`) || !utf8.Valid(value)
}
