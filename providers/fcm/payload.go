package fcm

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/messagesize"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

var (
	errNothing  = errors.New("the notification has nothing to tell this device")
	errTooLarge = errors.New("the message is too large even without all that may be left out of it")
)

// data is the data of a message: FCM has strings only, under names of its rules,
// https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages. Names and values together are at most limit bytes.
//
// The error is errNothing or errTooLarge if this notification cannot be a message. Faults may be nil.
func data(n *providers.Notification, d *providers.Device, limit int, faults *clientjson.Faults) (map[string]string, error) {
	if !hasClearText(n) && n.Encrypted == (providers.Encrypted{}) {
		return nil, errNothing
	}
	defaults := clientjson.DefaultPayload(d, faults)
	var m *draft
	if isDataMessage(d) {
		m = newDraft(hedwigMembers(n, d), defaultMembers(defaults, hedwigNames), limit)
		m.shrinkHedwig(n, d)
	} else {
		m = newDraft(sygnalMembers(n), defaultMembers(defaults, sygnalNames), limit)
		m.shrinkSygnal(n)
	}
	if m.over > 0 {
		return nil, errTooLarge
	}
	maps.Copy(m.defaults, m.own)
	return m.defaults, nil
}

// reduce is what data needs of a notification for whatever device.
func reduce(n *providers.Notification, limit int) *providers.Notification {
	if messagesize.IsSmall(n, limit) {
		return n.WithoutBody()
	}
	size := func(text string) int { return len(text) }
	if ids, too := messagesize.OversizeIDs(n, limit, size); too {
		return ids
	}
	reduced := n.Reduced()
	reduced.Prepared = n.Prepared // of one that was reduced before
	var tooLarge bool
	keep := maxText
	if reduced.Encrypted, tooLarge = messagesize.OversizeEncrypted(n.Encrypted, limit, size); tooLarge {
		keep = len(ellipsis) // it goes last, when all the rest has gone; but that there was a sender, no default_payload may say another
	}
	reduced.Type, reduced.Sender, reduced.Membership = cut(n.Type, keep), cut(n.Sender, keep), cut(n.Membership, keep)
	reduced.SenderDisplayName, reduced.RoomName = cut(n.SenderDisplayName, keep), cut(n.RoomName, keep)
	reduced.RoomAlias, reduced.UserIsTarget = cut(n.RoomAlias, keep), n.UserIsTarget
	if len(n.Content) == 0 || tooLarge {
		return reduced
	}
	if whole := clientjson.Marshal(n.Content); len(whole) <= limit {
		reduced.Content = whole
	} else { // which Hedwig's form does without
		reduced.Prepared = clientjson.Marshal(contentTexts(n, limit))
	}
	return reduced
}

// contentTexts are those of a content's texts that fit into limit bytes: the ones that Sygnal's form has, if there is nothing else in it.
func contentTexts(n *providers.Notification, limit int) map[string]string {
	texts := make(map[string]string)
	setContent(texts, n)
	m := newDraft(texts, nil, limit)
	m.dropContent()
	return m.own
}

// hasClearText says whether a client learns something without decrypting anything.
func hasClearText(n *providers.Notification) bool {
	return n.EventID != "" || n.RoomID != "" || n.Counts != providers.Counts{}
}

// sygnalMembers are what Sygnal sends (_build_data in
// https://github.com/element-hq/sygnal/blob/main/sygnal/gcmpushkin.py), which is what Element and its kin read. There are two
// differences: a count of zero is sent too, as it clears the badge; and an id is never cut, as it would be another one.
func sygnalMembers(n *providers.Notification) map[string]string {
	own := eventMembers(n)
	set(own, "membership", cut(n.Membership, maxText))
	setContent(own, n)
	own["prio"] = "high"
	if n.Prio == providers.PrioLow {
		own["prio"] = "normal"
	}
	setCount(own, "unread", n.Counts.Unread)
	setCount(own, "missed_calls", n.Counts.MissedCalls)
	return own
}

// hedwigMembers are what Hedwig sends (NotificationData in https://github.com/famedly/hedwig/blob/main/src/models.rs), which is what
// FluffyChat reads (PushNotification.fromJson in
// https://github.com/famedly/matrix-dart-sdk/blob/main/lib/src/utils/push_notification.dart): JSON inside of the strings, that of
// prio included. The parser does without everything but devices; it takes Hedwig's null for content, but throws at one for counts, so
// that what there is none of is left out.
func hedwigMembers(n *providers.Notification, d *providers.Device) map[string]string {
	own := eventMembers(n)
	if n.UserIsTarget {
		own["user_is_target"] = "true"
	}
	if len(n.Content) > 0 {
		own["content"] = jsonText(n.Content)
	}
	if n.Counts != (providers.Counts{}) {
		own["counts"] = jsonText(struct {
			Unread      *int64 `json:"unread,omitempty"`
			MissedCalls *int64 `json:"missed_calls,omitempty"`
		}(n.Counts))
	}
	own["prio"] = jsonText(n.Prio.String())
	own["devices"] = devices(d, true)
	return own
}

// devices is a list of the one device. Whole is with what FluffyChat can do without: it needs of the pusher's data the client_name,
// to know which of its accounts this is about (clientName in
// https://github.com/krille-chan/fluffychat/blob/main/lib/utils/push_helper.dart), also on iOS, and old ones app_id and pushkey.
func devices(d *providers.Device, whole bool) string {
	device := struct {
		AppID     string                     `json:"app_id"`
		Pushkey   string                     `json:"pushkey"`
		PushkeyTS int64                      `json:"pushkey_ts,omitempty"` // seconds
		Data      map[string]json.RawMessage `json:"data,omitempty"`
		Tweaks    json.RawMessage            `json:"tweaks,omitempty"`
	}{AppID: d.AppID, Pushkey: d.Pushkey, PushkeyTS: d.PushkeyTS / 1000}
	if len(d.Data) > 0 && lenient.Unmarshal(d.Data, &device.Data) == nil {
		maps.DeleteFunc(device.Data, func(name string, _ json.RawMessage) bool {
			return name == "default_payload" || (!whole && name != "client_name") // the former is in the message already
		})
	}
	var known struct { // the parser throws at a sound that is no string
		Sound *string `json:"sound"`
	}
	if whole && len(d.Tweaks) > 0 && lenient.Unmarshal(d.Tweaks, &known) == nil {
		device.Tweaks = d.Tweaks
	}
	return jsonText([]any{device})
}

// isDataMessage says that the client asks for Hedwig's form: with data_message, which is "android" or "ios" as FluffyChat registers
// it, or with the end of its app_id, as it did before.
func isDataMessage(d *providers.Device) bool {
	if strings.HasSuffix(d.AppID, ".data_message") {
		return true
	}
	var pusher struct {
		DataMessage any `json:"data_message"`
	}
	if !lenient.MayHave(d.Data, "data_message") || lenient.Unmarshal(d.Data, &pusher) != nil {
		return false
	}
	switch wanted := pusher.DataMessage.(type) {
	case bool:
		return wanted
	case string:
		return wanted != ""
	}
	return false
}

// eventMembers are what both forms have.
func eventMembers(n *providers.Notification) map[string]string {
	own := make(map[string]string, 16)
	set(own, "event_id", n.EventID)
	set(own, "room_id", n.RoomID)
	set(own, "type", cut(n.Type, maxText))
	set(own, "sender", cut(n.Sender, maxText))
	set(own, "sender_display_name", cut(n.SenderDisplayName, maxText))
	set(own, "room_name", cut(n.RoomName, maxText))
	set(own, "room_alias", cut(n.RoomAlias, maxText))
	// MSC3013, which is worth nothing if anything is changed.
	set(own, "ciphertext", n.Encrypted.Ciphertext)
	set(own, "ephemeral", n.Encrypted.Ephemeral)
	set(own, "mac", n.Encrypted.MAC)
	return own
}

// setContent sets the texts of an event's content. What is no text has no place in the form.
func setContent(own map[string]string, n *providers.Notification) {
	if n.Prepared != nil { // reduce has set them
		var texts map[string]string
		_ = lenient.Unmarshal(n.Prepared, &texts)
		maps.Copy(own, texts)
		return
	}
	var members map[string]json.RawMessage
	if len(n.Content) == 0 || lenient.Unmarshal(n.Content, &members) != nil {
		return
	}
	for name, value := range members {
		var text string
		if value[0] == '"' && lenient.Unmarshal(value, &text) == nil {
			own[contentPrefix+name] = cut(text, maxText)
		}
	}
}

func setCount(own map[string]string, name string, count *int64) {
	if count != nil {
		own[name] = strconv.FormatInt(*count, 10)
	}
}

func set(own map[string]string, name, value string) {
	if value != "" {
		own[name] = value
	}
}

const (
	contentPrefix = "content_"
	maxText       = 1024 // bytes, Sygnal's MAX_BYTES_PER_FIELD
	ellipsis      = "…"
)

// cut is text in at most limit bytes, without half a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}

// What a default_payload cannot say, as the client would take it for what the homeserver said of this event.
var (
	sygnalNames = []string{"event_id", "room_id", "prio", "unread", "missed_calls", "ciphertext", "ephemeral", "mac"}
	hedwigNames = slices.Concat(sygnalNames, []string{"counts", "content", "devices", "user_is_target"})
)

// defaultMembers are those of a default_payload that a message can have, as texts: Sygnal sends them as they are, and FCM answers
// 400 to whatever is no string.
func defaultMembers(members map[string]json.RawMessage, reserved []string) map[string]string {
	texts := make(map[string]string, len(members)+16)
	for name, value := range members {
		if slices.Contains(reserved, name) || isForbidden(name) {
			continue
		}
		switch value[0] {
		case 'n': // null
		case '"':
			var text string
			if lenient.Unmarshal(value, &text) == nil {
				texts[name] = text
			}
		default:
			texts[name] = jsonText(value)
		}
	}
	return texts
}

// isForbidden says that FCM refuses a message with this name: 'The key should not be a reserved word ("from", "message_type", or any
// word starting with "google." or "gcm.")', which earlier editions of the reference (see data) have without the dots. To lose
// a member is better than to lose the message.
func isForbidden(name string) bool {
	return name == "" || name == "from" || name == "message_type" ||
		strings.HasPrefix(name, "google") || strings.HasPrefix(name, "gcm")
}

// jsonText is v as compact JSON. encoding/json passes on what is no UTF-8 inside of a [json.RawMessage]; FCM takes UTF-8 only.
func jsonText(v any) string {
	return strings.ToValidUTF8(string(clientjson.Marshal(v)), "\uFFFD")
}
