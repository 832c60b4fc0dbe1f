package providertest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// testReduced delivers a notification in full, and then again as the content policy reduces it: [providers.ContentIDs]. No text of it
// may be in any request of the second push, even if the provider remembers it. Of the device's data, only what the author allows may be
// there.
func (s Suite) testReduced(t *testing.T) {
	t.Parallel()
	b, all, _ := s.startRecorded(t)
	full := b.canaryPush(t)
	for _, n := range b.forms(t, full.Notification) {
		push := copyOf(full)
		push.Notification = n
		o, ok := b.call(t.Context(), t, push, patience)
		if !ok {
			return
		}
		if o.Kind == providers.KindRejected {
			t.Fatalf("the device is rejected because of unknown members of its data (%s)", o.Reason)
		}
	}
	all.take()
	for how, n := range b.forms(t, full.Notification.Reduced()) {
		push := copyOf(full)
		push.Notification = n
		o, ok := b.call(t.Context(), t, push, patience)
		if !ok {
			return
		}
		requests := all.take()
		if len(requests) == 0 {
			t.Errorf("nothing is sent for a notification with ids only%s (%s, %s, %v). A provider gets such notifications by default",
				how, o.Kind, o.Reason, o.Err)
		}
		for _, r := range requests {
			s.searchTexts(t, how, r, b.push.Device)
		}
	}
}

// searchTexts fails the test for each text in a request that must not leave the gateway.
func (s *Suite) searchTexts(t *testing.T, how string, r request, good *providers.Device) {
	t.Helper()
	whole := s.visible(t, r)
	for _, member := range canaryMembers {
		if contains(whole, canary(member)) {
			t.Errorf("the notification was reduced to ids%s, but its %s is in a %s request", how, member, r.Method)
		}
	}
	if kind := "m.room.message"; contains(whole, kind) && !strings.Contains(string(good.Data), kind) {
		t.Errorf("the notification was reduced to ids%s, but its type is in a %s request", how, r.Method)
	}
	for _, member := range canaryData {
		if contains(whole, canary(member)) && !slices.Contains(s.DataThatLeaves, member) {
			t.Errorf("the notification was reduced to ids%s, but the device's %s is in a %s request. If it may leave, name it in "+
				"Suite.DataThatLeaves", how, member, r.Method)
		}
	}
}

// canaryMembers are the members of a notification that contain a canary.
var canaryMembers = []string{
	"sender", "sender_display_name", "room_name", "room_alias", "membership",
	"content.body", "content.formatted_body", "content.org.example.unknown", "org.example.unknown",
}

// canaryData are the members of a device's data that contain a canary, and its tweaks.
var canaryData = []string{"default_payload", "client_name", "org.example.data", "tweaks"}

// canary returns a text that occurs nowhere else. It consists of letters only, which no encoding of URLs, JSON or HTML changes.
func canary(member string) string {
	letters := func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return 'X'
	}
	return "Canary" + strings.Map(letters, member) + "QzJv"
}

// canaryPush returns a good push with canaries in the device's data and in everything that is not an id.
func (b *bench) canaryPush(t *testing.T) *providers.Push {
	t.Helper()
	count := int64(3)
	content := map[string]any{
		"msgtype": "m.text", "body": canary("content.body"), "formatted_body": "<b>" + canary("content.formatted_body") + "</b>",
		"org.example.unknown": []string{canary("content.org.example.unknown")},
	}
	n := &providers.Notification{
		EventID: "$event", RoomID: "!room:example.org", Type: "m.room.message", Sender: "@" + canary("sender") + ":example.org",
		SenderDisplayName: canary("sender_display_name"), RoomName: canary("room_name"), RoomAlias: "#" + canary("room_alias") + ":example.org",
		Membership: canary("membership"), Counts: providers.Counts{Unread: &count}, Content: marshalled(t, content),
	}
	n.Body = marshalled(t, map[string]any{"notification": map[string]any{
		"event_id": n.EventID, "room_id": n.RoomID, "type": n.Type, "sender": n.Sender, "sender_display_name": n.SenderDisplayName,
		"room_name": n.RoomName, "room_alias": n.RoomAlias, "membership": n.Membership, "counts": map[string]any{"unread": count},
		"content": content, "org.example.unknown": map[string]any{"text": canary("org.example.unknown")}, "devices": []any{},
	}})
	push := copyOf(b.push)
	push.Notification = n
	push.Device.Data = withCanaries(t, push.Device.Data)
	push.Device.Tweaks = marshalled(t, map[string]any{"sound": "default", "org.example.tweak": canary("tweaks")})
	return push
}

// withCanaries adds members to a device's data and to their default_payload. It replaces no member.
func withCanaries(t *testing.T, data json.RawMessage) json.RawMessage {
	t.Helper()
	members := make(map[string]json.RawMessage)
	if len(data) > 0 && json.Unmarshal(data, &members) != nil {
		return data // it is not an object
	}
	added := map[string]json.RawMessage{
		"client_name":      marshalled(t, canary("client_name")),
		"org.example.data": marshalled(t, map[string]string{"text": canary("org.example.data")}),
	}
	maps.Copy(added, members)
	defaults := make(map[string]json.RawMessage)
	if raw := members["default_payload"]; len(raw) == 0 || json.Unmarshal(raw, &defaults) == nil && defaults != nil {
		defaults["org.example.default"] = marshalled(t, canary("default_payload"))
		added["default_payload"] = marshalled(t, defaults)
	}
	return marshalled(t, added)
}

func marshalled(t *testing.T, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// visible returns everything that the receiver of a request can read in it. That includes text that is escaped in its URL, compressed
// by HTTP, or encrypted for the device.
func (s *Suite) visible(t *testing.T, r request) string {
	t.Helper()
	parts := []string{r.Method, r.RequestURI, r.URL.Path, r.Host, string(r.raw), string(s.body(t, r))}
	for _, header := range []map[string][]string{r.Header, r.Trailer} {
		for name, values := range header {
			parts = append(parts, name, strings.Join(values, "\n"))
		}
	}
	for _, part := range slices.Clone(parts) {
		if plain, err := url.QueryUnescape(part); err == nil {
			parts = append(parts, plain)
		}
	}
	return strings.Join(parts, "\n")
}

// contains reports whether a text occurs in another one, also encoded once or twice in hexadecimal or base64.
func contains(whole, text string) bool {
	lower := strings.ToLower(whole)
	if strings.Contains(lower, strings.ToLower(text)) {
		return true
	}
	once := encodings(text)
	for _, form := range once {
		if strings.Contains(whole, form) || strings.Contains(lower, strings.ToLower(hex.EncodeToString([]byte(form)))) {
			return true
		}
		for _, form := range encodings(form) {
			if strings.Contains(whole, form) {
				return true
			}
		}
	}
	return false
}

// encodings returns texts that occur in the hexadecimal or base64 encoding of anything that contains the text.
func encodings(text string) []string {
	plain := fmt.Sprintf("%x", text)
	forms := []string{plain, strings.ToUpper(plain)}
	for before := range 3 { // bytes of the first group of three that precede the text
		padded := strings.Repeat("-", before) + text
		whole := len(padded) / 3 * 3
		begin := 0
		if before > 0 {
			begin = 4 // skip the group that the text shares with the bytes before it
		}
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			forms = append(forms, encoding.EncodeToString([]byte(padded[:whole]))[begin:])
		}
	}
	return forms
}
