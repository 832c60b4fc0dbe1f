package webpush

import (
	"encoding/json"
	"maps"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/payload"
)

// bodies are the forms of a notification, from the whole of it to its ids. The members are Sygnal's.
func bodies(n *providers.Notification, defaults map[string]json.RawMessage) [][]byte {
	ids := make(map[string]any)
	set(ids, "event_id", n.EventID)
	set(ids, "room_id", n.RoomID)
	if n.Counts.Unread != nil {
		ids["unread"] = *n.Counts.Unread
	}
	if n.Counts.MissedCalls != nil {
		ids["missed_calls"] = *n.Counts.MissedCalls
	}

	noNames := withDefaults(ids, defaults)
	set(noNames, "type", n.Type)
	set(noNames, "sender", n.Sender)
	set(noNames, "membership", n.Membership)
	if n.UserIsTarget {
		noNames["user_is_target"] = true
	}

	noContent := maps.Clone(noNames)
	set(noContent, "room_name", n.RoomName)
	set(noContent, "room_alias", n.RoomAlias)
	set(noContent, "sender_display_name", n.SenderDisplayName)

	whole := maps.Clone(noContent)
	if content := trim(n.Content); len(content) > 0 {
		whole["content"] = content
	}
	return [][]byte{
		payload.Marshal(whole),
		payload.Marshal(noContent),
		payload.Marshal(noNames),
		payload.Marshal(withDefaults(ids, defaults)),
		payload.Marshal(ids),
	}
}

// withDefaults is what the pusher wants in every message, under what this message says itself.
func withDefaults(members map[string]any, defaults map[string]json.RawMessage) map[string]any {
	merged := make(map[string]any, len(members)+len(defaults)+8)
	for name, value := range defaults {
		if name != "event_id" && name != "room_id" { // those are the homeserver's alone to give
			merged[name] = value
		}
	}
	maps.Copy(merged, members)
	return merged
}

func set(members map[string]any, name, value string) {
	if value != "" {
		members[name] = value
	}
}

const (
	maxText       = 1000 // characters of a message's body
	maxCiphertext = 2000
)

// trim leaves out of an event's content what a notification does not show: the formatted body, the rest of a long body, and a
// ciphertext that would not fit anyhow.
func trim(content json.RawMessage) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if len(content) == 0 || json.Unmarshal(content, &members) != nil {
		return nil
	}
	delete(members, "formatted_body")
	var text string
	if json.Unmarshal(members["body"], &text) == nil && utf8.RuneCountInString(text) > maxText {
		members["body"] = payload.Marshal(string([]rune(text)[:maxText-1]) + "…")
	}
	var ciphertext string
	if json.Unmarshal(members["ciphertext"], &ciphertext) == nil && len(ciphertext) > maxCiphertext {
		delete(members, "ciphertext")
	}
	return members
}
