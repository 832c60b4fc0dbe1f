package webpush

import (
	"encoding/json"
	"iter"
	"maps"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/messagesize"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/webpushmessage"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// bodies returns the forms of a notification, from the whole notification to its ids, each smaller than the one before. The members are
// Sygnal's.
//
// The content goes first: the members that no client shows, then the end of its body, then the rest. Then the names go, which may leave
// room for the content again. Then sender and type go, and the content with them, as no client shows one without a sender. The client's
// default_payload stays until only the ids are left: it tells a client with several accounts which of them a message is for.
func bodies(n *providers.Notification, defaults map[string]json.RawMessage) iter.Seq[[]byte] {
	return messagesize.Shrinking(func(yield func([]byte) bool) {
		content := trim(n.Content)
		for _, named := range []bool{true, false} {
			for _, form := range messagesize.Contents(content, webpushmessage.MaxEncrypted, described(n, defaults, named)) {
				if !yield(form) {
					return
				}
			}
		}
		if yield(clientjson.Marshal(withDefaults(ids(n), defaults))) {
			yield(clientjson.Marshal(ids(n)))
		}
	})
}

// described returns a function that makes a message with a content.
func described(
	n *providers.Notification, defaults map[string]json.RawMessage, named bool,
) func(content map[string]json.RawMessage) []byte {
	return func(content map[string]json.RawMessage) []byte {
		members := withDefaults(ids(n), defaults)
		describe(members, n)
		if named {
			name(members, n)
		}
		if len(content) > 0 {
			members["content"] = content
		}
		return clientjson.Marshal(members)
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

func ids(n *providers.Notification) map[string]any {
	members := make(map[string]any)
	set(members, "event_id", n.EventID)
	set(members, "room_id", n.RoomID)
	if n.Counts.Unread != nil {
		members["unread"] = *n.Counts.Unread
	}
	if n.Counts.MissedCalls != nil {
		members["missed_calls"] = *n.Counts.MissedCalls
	}
	return members
}

func describe(members map[string]any, n *providers.Notification) {
	set(members, "type", n.Type)
	set(members, "sender", n.Sender)
	set(members, "membership", n.Membership)
	if n.UserIsTarget {
		members["user_is_target"] = true
	}
}

func name(members map[string]any, n *providers.Notification) {
	set(members, "room_name", n.RoomName)
	set(members, "room_alias", n.RoomAlias)
	set(members, "sender_display_name", n.SenderDisplayName)
}

// withDefaults returns this message's members, merged over the pusher's default_payload.
func withDefaults(members map[string]any, defaults map[string]json.RawMessage) map[string]any {
	merged := make(map[string]any, len(members)+len(defaults)+8)
	for member, value := range defaults {
		if member != "event_id" && member != "room_id" { // only the homeserver may set these
			merged[member] = value
		}
	}
	maps.Copy(merged, members)
	return merged
}

func set(members map[string]any, member, value string) {
	if value != "" {
		members[member] = value
	}
}

const (
	maxText       = 1000 // characters of a message's body
	maxCiphertext = 2000
)

// trim removes from an event's content what a notification does not show: the formatted body, the rest of a long body, and a ciphertext
// that would not fit.
func trim(content json.RawMessage) map[string]json.RawMessage {
	members, ok := clientjson.Members(content)
	if !ok {
		return nil
	}
	delete(members, "formatted_body")
	var text string
	if lenient.Unmarshal(members["body"], &text) == nil && utf8.RuneCountInString(text) > maxText {
		members["body"] = clientjson.Marshal(string([]rune(text)[:maxText-1]) + "…")
	}
	var ciphertext string
	if lenient.Unmarshal(members["ciphertext"], &ciphertext) == nil && len(ciphertext) > maxCiphertext {
		delete(members, "ciphertext")
	}
	return members
}
