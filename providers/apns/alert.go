package apns

import (
	"encoding/json"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// maxName is how many characters of a name appear in an alert, as in Sygnal.
const maxName = 1024

// locKey returns the key for an event in the app's Localizable.strings, and its arguments: Sygnal's keys, and its order of arguments. The
// key is empty for an event that makes no alert.
func locKey(n *providers.Notification) (key string, args []string) {
	from := firstCharacters(firstOf(n.SenderDisplayName, n.Sender, " "), maxName)
	room := firstCharacters(firstOf(n.RoomName, n.RoomAlias), maxName)
	switch n.Type {
	case "m.room.message", "m.room.encrypted":
		return locKeyOfMessage(n.Content, from, room)
	case "m.call.invite":
		if isVideo(n.Content) {
			return "VIDEO_CALL_FROM_USER", []string{from}
		}
		return "VOICE_CALL_FROM_USER", []string{from}
	case "m.room.member":
		// Some homeservers send user_is_target only if the user sent the event, so never for an invite. An invite notifies no one else.
		if n.Membership != "invite" {
			return "", nil
		}
		if room != "" {
			return "USER_INVITE_TO_NAMED_ROOM", []string{from, room}
		}
		return "USER_INVITE_TO_CHAT", []string{from}
	default:
		return "MSG_FROM_USER", []string{from}
	}
}

func locKeyOfMessage(content json.RawMessage, from, room string) (key string, args []string) {
	kind, body := textOf(content)
	inRoom := room != ""
	switch {
	case kind == "m.image" && inRoom:
		return "IMAGE_FROM_USER_IN_ROOM", []string{from, body, room}
	case kind == "m.image":
		return "IMAGE_FROM_USER", []string{from, body}
	case body == "" && inRoom:
		return "MSG_FROM_USER_IN_ROOM", []string{from, room}
	case body == "":
		return "MSG_FROM_USER", []string{from}
	case kind == "m.emote" && inRoom:
		return "ACTION_FROM_USER_IN_ROOM", []string{room, from, body} // the room first
	case kind == "m.emote":
		return "ACTION_FROM_USER", []string{from, body}
	case inRoom:
		return "MSG_FROM_USER_IN_ROOM_WITH_CONTENT", []string{from, room, body}
	default:
		return "MSG_FROM_USER_WITH_CONTENT", []string{from, body}
	}
}

// textOf returns a message's msgtype and body; both are empty unless both are strings.
func textOf(content json.RawMessage) (msgtype, body string) {
	var c struct {
		MsgType *string `json:"msgtype"`
		Body    *string `json:"body"`
	}
	if len(content) == 0 || lenient.Unmarshal(content, &c) != nil || c.MsgType == nil || c.Body == nil {
		return "", ""
	}
	return *c.MsgType, *c.Body
}

// isVideo reports whether a call's SDP (RFC 8866, section 5.14) offers video.
func isVideo(content json.RawMessage) bool {
	var c struct {
		Offer struct {
			SDP string `json:"sdp"`
		} `json:"offer"`
	}
	return len(content) != 0 && lenient.Unmarshal(content, &c) == nil && strings.Contains(c.Offer.SDP, "m=video")
}

// firstOf returns the first value that is not empty.
func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

// firstCharacters returns the first n code points.
func firstCharacters(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
