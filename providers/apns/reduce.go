package apns

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/messagesize"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// maxWord is how much is kept of strings that are only compared: more than the longest word they are compared with.
const maxWord = 64

// reduce keeps what build needs of a notification for any device.
func reduce(n *providers.Notification, limit int) *providers.Notification {
	if messagesize.IsSmall(n, limit) {
		return n.WithoutBody()
	}
	reduced, tooLarge := messagesize.OversizeIDs(n, limit, messagesize.Size)
	if !tooLarge {
		reduced = n.Reduced()
		reduced.Encrypted, _ = messagesize.OversizeEncrypted(n.Encrypted, limit, messagesize.Size)
	}
	if n.Type == "" {
		return reduced
	}
	reduced.Encrypted = providers.Encrypted{} // build has no place for it
	reduced.Type, reduced.Membership, reduced.UserIsTarget = cutTo(n.Type, maxWord), cutTo(n.Membership, maxWord), n.UserIsTarget
	if tooLarge {
		return reduced // no message with the ids is sent, and one without ids has no texts
	}
	keep := textsThatFit(n, limit)
	reduced.SenderDisplayName = cutTo(firstCharacters(firstOf(n.SenderDisplayName, n.Sender), maxName), keep)
	reduced.RoomName = cutTo(firstCharacters(firstOf(n.RoomName, n.RoomAlias), maxName), keep)
	reduced.Content = reducedContent(n, keep)
	return reduced
}

// textsThatFit returns how many bytes of each text an alert can need: what fit would leave if the payload were only these texts, and one
// character more.
func textsThatFit(n *providers.Notification, limit int) int {
	_, args := locKey(n)
	var all size
	texts := make([]*string, len(args))
	for i := range args {
		args[i] = cutTo(args[i], limit) // as setAlert does
		texts[i] = &args[i]
		for _, r := range args[i] {
			all = all.plus(sizeOf(r))
		}
	}
	if !all.over(limit) {
		return limit + utf8.UTFMax
	}
	cut(texts, all, limit)
	longest := 0
	for _, arg := range args {
		longest = max(longest, len(arg))
	}
	return longest + utf8.UTFMax
}

// reducedContent keeps what locKey looks for in the content.
func reducedContent(n *providers.Notification, keep int) json.RawMessage {
	switch n.Type {
	case "m.room.message", "m.room.encrypted":
		if msgtype, body := textOf(n.Content); msgtype != "" || body != "" {
			return clientjson.Marshal(map[string]string{"msgtype": cutTo(msgtype, maxWord), "body": cutTo(body, keep)})
		}
	case "m.call.invite":
		if isVideo(n.Content) {
			return json.RawMessage(`{"offer":{"sdp":"m=video"}}`)
		}
	}
	return nil
}
