package webpush

import (
	"encoding/json"
	"iter"
	"maps"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/message"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/payload"
)

// parts are what a message has beside ids, in the order in which it can do without.
var parts = []func(map[string]any, *providers.Notification){quote, name, describe}

// bodies are the forms of a notification, from the whole of it to its ids. The members are Sygnal's.
func bodies(n *providers.Notification, defaults map[string]json.RawMessage) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range len(parts) + 1 {
			members := withDefaults(ids(n), defaults)
			for _, add := range parts[i:] {
				add(members, n)
			}
			if !yield(payload.Marshal(members)) {
				return
			}
		}
		yield(payload.Marshal(ids(n)))
	}
}

// Reduce leaves out the parts that do not fit, not even for a device that wants nothing more in its messages, and of the content what no
// message has.
func (p *Provider) Reduce(n *providers.Notification) *providers.Notification {
	if payload.IsSmall(n, message.MaxEncrypted) {
		return n.WithoutBody()
	}
	if ids, too := payload.OversizeIDs(n, message.MaxEncrypted, payload.Size); too {
		return ids
	}
	reduced := &providers.Notification{EventID: n.EventID, RoomID: n.RoomID, Prio: n.Prio, Counts: n.Counts, Badge: n.Badge}
	members := ids(n)
	for i := len(parts) - 1; i >= 0; i-- {
		parts[i](members, n)
		if len(payload.Marshal(members)) > message.MaxEncrypted {
			break
		}
		copies[i](reduced, n)
	}
	return reduced
}

// copies copy what the parts have.
var copies = []func(to, from *providers.Notification){
	func(to, from *providers.Notification) {
		if content := trim(from.Content); len(content) > 0 {
			to.Content = payload.Marshal(content)
		}
	},
	func(to, from *providers.Notification) {
		to.RoomName, to.RoomAlias, to.SenderDisplayName = from.RoomName, from.RoomAlias, from.SenderDisplayName
	},
	func(to, from *providers.Notification) {
		to.Type, to.Sender, to.Membership, to.UserIsTarget = from.Type, from.Sender, from.Membership, from.UserIsTarget
	},
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

func quote(members map[string]any, n *providers.Notification) {
	if content := trim(n.Content); len(content) > 0 {
		members["content"] = content
	}
}

// withDefaults is what the pusher wants in every message, under what this message says itself.
func withDefaults(members map[string]any, defaults map[string]json.RawMessage) map[string]any {
	merged := make(map[string]any, len(members)+len(defaults)+8)
	for member, value := range defaults {
		if member != "event_id" && member != "room_id" { // those are the homeserver's alone to give
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

// trim leaves out of an event's content what a notification does not show: the formatted body, the rest of a long body, and a
// ciphertext that would not fit anyhow.
func trim(content json.RawMessage) map[string]json.RawMessage {
	members, ok := payload.Members(content)
	if !ok {
		return nil
	}
	delete(members, "formatted_body")
	var text string
	if lenient.Unmarshal(members["body"], &text) == nil && utf8.RuneCountInString(text) > maxText {
		members["body"] = payload.Marshal(string([]rune(text)[:maxText-1]) + "…")
	}
	var ciphertext string
	if lenient.Unmarshal(members["ciphertext"], &ciphertext) == nil && len(ciphertext) > maxCiphertext {
		delete(members, "ciphertext")
	}
	return members
}
