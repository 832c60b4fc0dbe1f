package gateway

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"go.opentelemetry.io/otel/trace"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Request is a decoded notify request.
type Request struct {
	Notification *providers.Notification
	Devices      []providers.Device
	// Span is the request's, below which each push has one of its own; nil for none.
	Span trace.Span
	// Hand is what the request has in hand; nil for no bound.
	Hand *Hand

	// size is that of the body.
	size int64
	// event identifies the notification for duplicate suppression; empty if it must not be deduplicated.
	event string
	// verbatim holds, for a device whose pushkey is not valid Unicode, the JSON string it was sent as, to echo it byte for byte.
	verbatim map[int]json.RawMessage
}

// fakeEventID is the constant with which Element's "Troubleshoot notifications" asks the gateway for a test push, again and
// again: deduplicating it would make the button work once.
const fakeEventID = "$THIS_IS_A_FAKE_EVENT_ID"

// wireRequest is the body as homeservers send it.
type wireRequest struct {
	Notification *wireNotification `json:"notification"`
}

type wireNotification struct {
	ID                string          `json:"id"`
	EventID           string          `json:"event_id"`
	RoomID            string          `json:"room_id"`
	Type              string          `json:"type"`
	Sender            string          `json:"sender"`
	SenderDisplayName string          `json:"sender_display_name"`
	RoomName          string          `json:"room_name"`
	RoomAlias         string          `json:"room_alias"`
	Membership        string          `json:"membership"`
	UserIsTarget      bool            `json:"user_is_target"`
	Prio              string          `json:"prio"`
	Content           json.RawMessage `json:"content"`
	Counts            struct {
		Unread      *integer `json:"unread"`
		MissedCalls *integer `json:"missed_calls"`
	} `json:"counts"`
	Ciphertext string       `json:"ciphertext"`
	Ephemeral  string       `json:"ephemeral"`
	MAC        string       `json:"mac"`
	Devices    []wireDevice `json:"devices"`
}

type wireDevice struct {
	AppID     string          `json:"app_id"`
	Pushkey   string          `json:"pushkey"`
	PushkeyTS integer         `json:"pushkey_ts"`
	Data      json.RawMessage `json:"data"`
	Tweaks    json.RawMessage `json:"tweaks"`
}

// Decode reads a notify request's body, which it keeps. It is lenient in what real homeservers send and clear about the rest.
func Decode(body []byte, maxDevices int) (*Request, *Error) {
	var w wireRequest
	if !utf8.Valid(body) || tooDeep(body) {
		return nil, errNotJSON() // RFC 8259 section 8.1; the decoder would replace the bytes, and no pushkey may change
	}
	if where, tooMany := tooManyMembers(body); tooMany {
		return nil, errBadJSON("%s has more than %d members", where, maxMembers)
	}
	if err := jsonv2.Unmarshal(body, &w, lenient.Options); err != nil {
		return nil, shapeError(body, err)
	}
	n := w.Notification
	switch {
	case n == nil:
		return nil, errBadJSON("notification is missing")
	case n.Devices == nil:
		return nil, errBadJSON("notification.devices is missing")
	case len(n.Devices) > maxDevices:
		return nil, errBadJSON("notification.devices has more than %d entries", maxDevices)
	}
	content, ok := object(n.Content)
	if !ok {
		return nil, errBadJSON("notification.content is not an object")
	}
	for i := range n.Devices {
		switch d := &n.Devices[i]; {
		case d.AppID == "":
			return nil, errBadJSON("notification.devices[%d].app_id is missing", i)
		case d.Pushkey == "":
			return nil, errBadJSON("notification.devices[%d].pushkey is missing", i)
		}
	}
	r := &Request{Notification: n.notification(content, body), size: int64(len(body))}
	r.event = dedupeID(n)
	r.addDevices(n.Devices, body)
	return r, nil
}

// maxNesting is how deep a body may be nested. No homeserver nests that deep. The outbox keeps a push with some levels more around it, and
// reads it again with encoding/json, which gives up beyond 10,000: what was accepted would be lost.
const maxNesting = 9_900

// tooDeep reports whether JSON is nested deeper than that. What has too few brackets for it is not read.
func tooDeep(body []byte) bool {
	if bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) <= maxNesting {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++ // whatever is escaped ends no string
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			if depth++; depth > maxNesting {
				return true
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return false
}

func (n *wireNotification) notification(content json.RawMessage, body []byte) *providers.Notification {
	out := &providers.Notification{
		EventID:           n.EventID,
		RoomID:            n.RoomID,
		Type:              n.Type,
		Sender:            n.Sender,
		SenderDisplayName: n.SenderDisplayName,
		RoomName:          n.RoomName,
		RoomAlias:         n.RoomAlias,
		Membership:        n.Membership,
		UserIsTarget:      n.UserIsTarget,
		Content:           content,
		Counts:            providers.Counts{Unread: n.Counts.Unread.pointer(), MissedCalls: n.Counts.MissedCalls.pointer()},
		Encrypted:         providers.Encrypted{Ciphertext: n.Ciphertext, Ephemeral: n.Ephemeral, MAC: n.MAC},
		Body:              body,
	}
	if n.Prio == "low" {
		out.Prio = providers.PrioLow
	}
	if n.Type == "m.room.member" && n.Membership == "" {
		out.Membership = membershipIn(content)
	}
	out.DecodeBy(lenient.Members)
	// The seeds of the specification call the event's id just `id`, https://spec.matrix.org/legacy/push_gateway/unstable.html.
	if out.EventID == "" && strings.HasPrefix(n.ID, "$") {
		out.EventID = n.ID
	}
	// An encrypted push (MSC3013) shows nothing of what it is about, which may well be an event.
	out.Badge = out.EventID == "" && n.ID == "" && n.RoomID == "" && n.Type == "" && content == nil &&
		out.Encrypted == providers.Encrypted{}
	return out
}

// membershipIn is the membership that an event of m.room.member tells of. Synapse and Dendrite repeat it beside the content, which is not in
// the specification; others do not, and an invitation would not be told from whoever joins.
func membershipIn(content json.RawMessage) string {
	var event struct {
		Membership string `json:"membership"`
	}
	if content == nil || jsonv2.Unmarshal(content, &event, lenient.Options) != nil {
		return ""
	}
	return event.Membership
}

func dedupeID(n *wireNotification) string {
	id := n.EventID
	if id == "" {
		id = n.ID
	}
	if id == fakeEventID {
		return ""
	}
	return id
}

// addDevices takes each registration once: a request that names the same device twice asks for one push.
func (r *Request) addDevices(devices []wireDevice, body []byte) {
	type identity struct {
		appID, pushkey, data string
		pushkeyTS            integer // a dead registration must not stand for a newer one
	}
	var seen map[identity]bool
	if len(devices) > 1 {
		seen = make(map[identity]bool, len(devices))
	}
	var asSent []json.RawMessage
	r.Devices = make([]providers.Device, 0, len(devices))
	for i := range devices {
		d := &devices[i]
		data, _ := object(d.Data) // anything else is no data; a provider that needs them says so for this device alone
		tweaks, _ := object(d.Tweaks)
		pushkey, verbatim := d.Pushkey, json.RawMessage(nil)
		if strings.ContainsRune(d.Pushkey, utf8.RuneError) {
			if asSent == nil {
				asSent = pushkeysAsSent(body, len(devices))
			}
			verbatim = asSent[i]
			pushkey = string(verbatim) // every lone surrogate is decoded to the same
		}
		if seen != nil {
			id := identity{d.AppID, pushkey, string(data), d.PushkeyTS}
			if seen[id] {
				continue
			}
			seen[id] = true
		}
		r.keepVerbatim(len(r.Devices), verbatim)
		r.Devices = append(r.Devices, providers.Device{
			AppID: d.AppID, Pushkey: d.Pushkey, PushkeyTS: d.PushkeyTS.milliseconds(), Data: data, Tweaks: tweaks,
		})
	}
}

// keepVerbatim remembers the pushkey of the device at i as it was sent: a lone surrogate such as "\ud800" decodes to U+FFFD and
// could not be echoed otherwise.
func (r *Request) keepVerbatim(i int, asSent json.RawMessage) {
	if asSent == nil {
		return
	}
	if r.verbatim == nil {
		r.verbatim = make(map[int]json.RawMessage, 1)
	}
	r.verbatim[i] = asSent
}

// pushkeysAsSent are the pushkeys of the request's n devices as JSON.
func pushkeysAsSent(body []byte, n int) []json.RawMessage {
	var w struct {
		Notification struct {
			Devices []struct {
				Pushkey json.RawMessage `json:"pushkey"`
			} `json:"devices"`
		} `json:"notification"`
	}
	_ = jsonv2.Unmarshal(body, &w, lenient.Options) // the body was decoded once already
	keys := make([]json.RawMessage, n)
	for i := range min(n, len(w.Notification.Devices)) {
		keys[i] = w.Notification.Devices[i].Pushkey
	}
	return keys
}

// object is raw if it is a JSON object with members, nil if it is absent, null or empty, and not ok if it is anything else.
func object(raw json.RawMessage) (_ json.RawMessage, ok bool) {
	switch {
	case len(raw) == 0 || bytes.Equal(raw, []byte("null")):
		return nil, true
	case raw[0] != '{':
		return nil, false
	case len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0:
		return nil, true
	}
	return raw, true
}
