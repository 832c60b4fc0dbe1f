package messagesize

import (
	"encoding/json"
	"iter"
	"maps"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// shownMembers are the members of an event's content that clients make a notification from, without asking their homeserver:
//   - body: Hydrogen (src/platform/web/sw.js), Sable (src/app/utils/notificationStyle.ts), NeoChat
//   - msgtype: whether that is a text, a picture or an emote
//   - membership, notification_type: Sable shows invites and calls that ring by them (src/sw/pushNotification.ts)
//   - m.relates_to: Sable shows the key of a reaction, which has no body
var shownMembers = []string{"body", "msgtype", "membership", "notification_type", relation}

const (
	relation = "m.relates_to"
	// maxShown is how many bytes a shown member other than the body may have: a msgtype is short, and the body should get the remaining
	// room.
	maxShown = 256
	ellipsis = "…"
)

// Contents returns the forms of an event's content, richest first, each with its message: the whole content; the part that clients show;
// that part with as much of the body as fits into limit; and no content. Message makes a message with a content, or without one if that is
// nil.
func Contents(
	content map[string]json.RawMessage, limit int, message func(content map[string]json.RawMessage) []byte,
) iter.Seq2[map[string]json.RawMessage, []byte] {
	return func(yield func(map[string]json.RawMessage, []byte) bool) {
		if len(content) > 0 && !yield(content, message(content)) {
			return
		}
		if shown := shownOf(content); len(shown) > 0 {
			if len(shown) < len(content) && !yield(shown, message(shown)) {
				return
			}
			if short := shorten(shown, limit, message); short != nil && !yield(short, message(short)) {
				return
			}
		}
		yield(nil, message(nil))
	}
}

// shownOf returns the part of a content that clients show.
func shownOf(content map[string]json.RawMessage) map[string]json.RawMessage {
	shown := make(map[string]json.RawMessage)
	for _, name := range shownMembers {
		value, ok := content[name]
		switch {
		case !ok || len(value) == 0 || name != "body" && len(value) > maxShown:
		case name == relation && (shown["body"] != nil || value[0] != '{'):
		case name != relation && value[0] != '"':
		default:
			shown[name] = value
		}
	}
	return shown
}

// shorten returns the content with as much of its body as fits, or nil if it has no body or nothing of it fits.
func shorten(content map[string]json.RawMessage, limit int, message func(map[string]json.RawMessage) []byte) map[string]json.RawMessage {
	var text string
	if lenient.Unmarshal(content["body"], &text) != nil {
		return nil
	}
	short := maps.Clone(content)
	short["body"] = json.RawMessage(`""`)
	if text = Cut(text, limit-len(message(short))); text == "" {
		return nil
	}
	short["body"] = clientjson.Marshal(text)
	return short
}

// Cut returns a text that takes at most limit bytes in JSON, as [Size] counts: the text itself, or as many of its characters as fit with an
// ellipsis behind them. It is empty if not even one fits. Cutting twice gives the same text as cutting to the smaller limit at once.
func Cut(text string, limit int) string {
	if Size(text) <= limit {
		return text
	}
	size := len(ellipsis)
	for i, r := range text {
		if size += sizeOf(r); size > limit {
			if i == 0 {
				return ""
			}
			return text[:i] + ellipsis
		}
	}
	return text // unreachable: the text is larger than the limit
}

// Shrinking omits the forms of a message that are not smaller than the previous ones.
func Shrinking(forms iter.Seq[[]byte]) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		smallest := -1
		for form := range forms {
			if smallest >= 0 && len(form) >= smallest {
				continue
			}
			smallest = len(form)
			if !yield(form) {
				return
			}
		}
	}
}
