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
	// Span is the request's span, and the parent of each push's span; nil if there is none.
	Span trace.Span
	// Hand counts the bytes that the request holds; nil for no bound.
	Hand *Hand
	// Arrived is how the request arrived; nil unless it [Request.HasProbe].
	Arrived *Sighting

	// size is the size of the body.
	size int64
	// event identifies the notification for duplicate suppression; empty if it must not be deduplicated.
	event string
	// verbatim holds the JSON string of each pushkey that is not valid Unicode, by the device's index, to echo it byte for byte.
	verbatim map[int]json.RawMessage
}

// fakeEventID is the constant that Element's "Troubleshoot notifications" sends with each test push. If it were deduplicated, the
// button would work only once.
const fakeEventID = "$THIS_IS_A_FAKE_EVENT_ID"

// Decode reads the body of a notify request, and keeps a reference to it. It accepts what real homeservers send, and names the field
// that is wrong in anything else.
func Decode(body []byte, maxDevices int) (*Request, *Error) {
	if !utf8.Valid(body) || tooDeep(body) {
		return nil, errNotJSON() // RFC 8259 section 8.1; the decoder would replace the bytes, and a pushkey must not change
	}
	if where, tooMany := tooManyMembers(body); tooMany {
		return nil, errBadJSON("%s has more than %d members", where, maxMembers)
	}
	w := newWireRequest()
	defer w.release()
	if err := lenient.Unmarshal(body, w); err != nil {
		return nil, shapeError(body, err)
	}
	n := &w.Notification
	if len(n.Devices) == 0 {
		if member := missingMember(body); member != "" {
			return nil, errBadJSON("%s is missing", member)
		}
	}
	if len(n.Devices) > maxDevices {
		err := errBadJSON("notification.devices has more than %d entries", maxDevices)
		err.Hint = "if `from` is a homeserver, raise max_devices"
		return nil, err
	}
	content, ok := object(n.Content.in(body))
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
	var made struct {
		Request
		notification providers.Notification // one allocation for both
	}
	made.notification = n.notification(content, body)
	r := &made.Request
	r.Notification, r.size, r.event = &made.notification, int64(len(body)), dedupeID(n)
	r.addDevices(n.Devices, body)
	return r, nil
}

// maxNesting is the deepest nesting of a body. No homeserver nests that deep. The outbox wraps a push in a few more levels, and reads
// it with encoding/json, which gives up beyond 10,000. Without this limit, a push that was accepted could be lost.
const maxNesting = 9_900

// tooDeep reports whether JSON is nested deeper than maxNesting. A body with too few brackets for that is not scanned.
func tooDeep(body []byte) bool {
	if bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) <= maxNesting {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++ // an escaped character does not end a string
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

func (n *wireNotification) notification(content json.RawMessage, body []byte) providers.Notification {
	out := providers.Notification{
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
	// Early versions of the specification call the event ID `id`, https://spec.matrix.org/legacy/push_gateway/unstable.html.
	if out.EventID == "" && strings.HasPrefix(n.ID, "$") {
		out.EventID = n.ID
	}
	// An encrypted push (MSC3013) does not show what it is about; it may well be an event.
	out.Badge = out.EventID == "" && n.ID == "" && n.RoomID == "" && n.Type == "" && content == nil &&
		out.Encrypted == providers.Encrypted{}
	return out
}

// membershipIn returns the membership in the content of an m.room.member event. Synapse and Dendrite also send it beside the content,
// which is not in the specification. Other homeservers don't, and without it an invitation would look like a join.
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

// addDevices adds each registration once: a request that names the same device twice gets one push.
func (r *Request) addDevices(devices []wireDevice, body []byte) {
	type identity struct {
		appID, pushkey, data string
		pushkeyTS            integer // a dead registration must not hide a newer one
	}
	var seen map[identity]bool
	if len(devices) > 1 {
		seen = make(map[identity]bool, len(devices))
	}
	var asSent []json.RawMessage
	r.Devices = make([]providers.Device, 0, len(devices))
	for i := range devices {
		d := &devices[i]
		data, _ := object(d.Data.in(body)) // anything else counts as absent; a provider that needs data rejects this device only
		tweaks, _ := object(d.Tweaks.in(body))
		pushkey, verbatim := d.Pushkey, json.RawMessage(nil)
		if strings.ContainsRune(d.Pushkey, utf8.RuneError) {
			if asSent == nil {
				asSent = pushkeysAsSent(body, len(devices))
			}
			verbatim = asSent[i]
			pushkey = string(verbatim) // all lone surrogates decode to the same character
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

// keepVerbatim remembers the pushkey of the device at i as it was sent. A lone surrogate such as "\ud800" decodes to U+FFFD, and could
// not be echoed otherwise.
func (r *Request) keepVerbatim(i int, asSent json.RawMessage) {
	if asSent == nil {
		return
	}
	if r.verbatim == nil {
		r.verbatim = make(map[int]json.RawMessage, 1)
	}
	r.verbatim[i] = asSent
}

// pushkeysAsSent returns the pushkeys of the request's n devices as JSON.
func pushkeysAsSent(body []byte, n int) []json.RawMessage {
	var w struct {
		Notification struct {
			Devices []struct {
				Pushkey json.RawMessage `json:"pushkey"`
			} `json:"devices"`
		} `json:"notification"`
	}
	_ = jsonv2.Unmarshal(body, &w, lenient.Options) // the body was already decoded once
	keys := make([]json.RawMessage, n)
	for i := range min(n, len(w.Notification.Devices)) {
		keys[i] = w.Notification.Devices[i].Pushkey
	}
	return keys
}

// object returns raw if it is a JSON object with members, and nil if it is absent, null or empty. For anything else it returns not ok.
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
