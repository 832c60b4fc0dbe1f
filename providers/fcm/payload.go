package fcm

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
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
	errNothing  = errors.New("the notification has nothing for this device")
	errTooLarge = errors.New("the message is too large even without its optional parts")
)

// data returns the data of a message: FCM only accepts strings, under names by its rules,
// https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages. Names and values together have at most limit bytes.
//
// With unlimited, nothing is cut. The error is errNothing or errTooLarge if this notification cannot become a message. Faults may be nil.
func data(n *providers.Notification, d *providers.Device, limit int, faults *clientjson.Faults) (map[string]string, error) {
	if !hasClearText(n) && n.Encrypted == (providers.Encrypted{}) {
		return nil, errNothing
	}
	defaults := lenient.Object(clientjson.DefaultPayloadValue(d, faults))
	var m *draft
	if isDataMessage(d) {
		m = newDraft(hedwigMembers(n, d, textLimit(limit)), defaultMembers(defaults, hedwigNames), limit)
		m.shrinkHedwig(n, d)
	} else {
		m = newDraft(sygnalMembers(n, textLimit(limit)), defaultMembers(defaults, sygnalNames), limit)
		m.shrinkSygnal(n)
	}
	if m.over > 0 {
		return nil, errTooLarge
	}
	maps.Copy(m.own, m.defaults)
	return m.own, nil
}

// reduce keeps what data needs of a notification for any device.
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
		keep = len(ellipsis) // it goes last, after all else; but a default_payload may not add a sender
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

// contentTexts returns those of a content's strings that fit into limit bytes: what Sygnal's form keeps if it has nothing else.
func contentTexts(n *providers.Notification, limit int) map[string]string {
	texts := make(map[string]string)
	setContent(texts, n, textLimit(limit))
	m := newDraft(texts, nil, limit)
	m.dropContent()
	return m.own
}

// hasClearText reports whether a client learns something without decrypting anything, if only that it must connect to its server.
func hasClearText(n *providers.Notification) bool {
	return n.Wake || n.EventID != "" || n.RoomID != "" || n.Counts != providers.Counts{}
}

// sygnalMembers returns what Sygnal sends (_build_data in https://github.com/element-hq/sygnal/blob/main/sygnal/gcmpushkin.py), which
// Element and related clients read. There are two differences: a count of zero is sent too, as it clears the badge; and an id is never cut,
// as that would make it another id.
func sygnalMembers(n *providers.Notification, most int) map[string]string {
	own := eventMembers(n, most)
	set(own, "membership", cut(n.Membership, most))
	setContent(own, n, most)
	own["prio"] = "high"
	if n.Prio == providers.PrioLow {
		own["prio"] = "normal"
	}
	setCount(own, "unread", n.Counts.Unread)
	setCount(own, "missed_calls", n.Counts.MissedCalls)
	return own
}

// hedwigMembers returns what Hedwig sends (NotificationData in https://github.com/famedly/hedwig/blob/main/src/models.rs), which FluffyChat
// reads (PushNotification.fromJson in https://github.com/famedly/matrix-dart-sdk/blob/main/lib/src/utils/push_notification.dart): JSON
// inside the strings, including that of prio. The parser only requires devices. It accepts Hedwig's null for content, but throws on a null
// for counts, so absent members are omitted.
func hedwigMembers(n *providers.Notification, d *providers.Device, most int) map[string]string {
	own := eventMembers(n, most)
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

// devices returns a list of the one device. If whole is true, it includes what FluffyChat does not need. FluffyChat needs client_name in
// the pusher's data to find the right account (clientName in
// https://github.com/krille-chan/fluffychat/blob/main/lib/utils/push_helper.dart), also on iOS; old versions need app_id and pushkey.
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
			return name == "default_payload" || (!whole && name != "client_name") // default_payload is already in the message
		})
	}
	var known struct { // the parser throws on a sound that is not a string
		Sound *string `json:"sound"`
	}
	if whole && len(d.Tweaks) > 0 && lenient.Unmarshal(d.Tweaks, &known) == nil {
		device.Tweaks = d.Tweaks
	}
	return jsonText([]any{device})
}

// isDataMessage reports whether the client asks for Hedwig's form: with data_message, which is "android" or "ios" as FluffyChat registers
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

// eventMembers returns the members that both forms have, each in at most as many bytes.
func eventMembers(n *providers.Notification, most int) map[string]string {
	own := make(map[string]string, 8) // more only with the content
	set(own, "event_id", n.EventID)
	set(own, "room_id", n.RoomID)
	set(own, "type", cut(n.Type, most))
	set(own, "sender", cut(n.Sender, most))
	set(own, "sender_display_name", cut(n.SenderDisplayName, most))
	set(own, "room_name", cut(n.RoomName, most))
	set(own, "room_alias", cut(n.RoomAlias, most))
	// MSC3013's members are useless if anything is changed.
	set(own, "ciphertext", n.Encrypted.Ciphertext)
	set(own, "ephemeral", n.Encrypted.Ephemeral)
	set(own, "mac", n.Encrypted.MAC)
	return own
}

// setContent sets the strings of an event's content. The form has no place for other values.
func setContent(own map[string]string, n *providers.Notification, most int) {
	if n.Prepared != nil { // reduce has set them
		var texts map[string]string
		_ = lenient.Unmarshal(n.Prepared, &texts)
		maps.Copy(own, texts)
		return
	}
	for _, member := range lenient.Object(n.Content) {
		var text string
		if member.Value[0] == '"' && lenient.Unmarshal(member.Value, &text) == nil {
			own[contentPrefix+member.Name] = cut(text, most)
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

// unlimited is the limit of a message that need not fit.
const unlimited = math.MaxInt

// textLimit returns how many bytes each text of a message may have, for the limit of the message.
func textLimit(limit int) int {
	if limit == unlimited {
		return unlimited
	}
	return maxText
}

// cut returns the text in at most limit bytes, without half a character.
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

// A default_payload cannot set these members: the client would take them for the homeserver's.
var (
	sygnalNames = []string{"event_id", "room_id", "prio", "unread", "missed_calls", "ciphertext", "ephemeral", "mac"}
	hedwigNames = slices.Concat(sygnalNames, []string{"counts", "content", "devices", "user_is_target"})
)

// defaultMembers returns the members of a default_payload that a message can have, as strings: Sygnal sends them as they are, and FCM
// answers 400 to anything that is not a string.
func defaultMembers(members []lenient.Member, reserved []string) map[string]string {
	texts := make(map[string]string, len(members))
	for _, member := range members {
		if slices.Contains(reserved, member.Name) || isForbidden(member.Name) {
			continue
		}
		switch member.Value[0] {
		case 'n': // null
		case '"':
			var text string
			if lenient.Unmarshal(member.Value, &text) == nil {
				texts[member.Name] = text
			}
		default:
			texts[member.Name] = jsonText(member.Value)
		}
	}
	return texts
}

// isForbidden reports whether FCM refuses a message with this name: 'The key should not be a reserved word ("from", "message_type", or any
// word starting with "google." or "gcm.")', which earlier editions of the reference (see data) have without the dots. Losing a member is
// better than losing the message.
func isForbidden(name string) bool {
	return name == "" || name == "from" || name == "message_type" ||
		strings.HasPrefix(name, "google") || strings.HasPrefix(name, "gcm")
}

// jsonText returns v as compact JSON. encoding/json passes on invalid UTF-8 inside a [json.RawMessage]; FCM only accepts UTF-8.
func jsonText(v any) string {
	return strings.ToValidUTF8(string(clientjson.Marshal(v)), "\uFFFD")
}
