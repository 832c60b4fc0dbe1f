// Package reducetest tests what providers keep of a notification: [providers.Reducer].
package reducetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// fields are the members of a notification that a homeserver may make arbitrarily long.
var fields = []string{
	"event_id", "room_id", "type", "sender", "sender_display_name", "room_name", "room_alias", "membership", "ciphertext", "ephemeral", "mac",
	"content.body", "content.formatted_body", "content.msgtype", "content.org.example", "content.list", "content.members", "org.example",
}

// types are those that some provider uses.
var types = []string{"", "m.room.message", "m.room.encrypted", "m.room.member", "m.call.invite", "org.example.type"}

// lengths are close to all limits.
var lengths = []int{1, 60, 700, 999, 1000, 1001, 1024, 1025, 2001, 3600, 3900, 4000, 4080, 4096, 4097, 5200, 30_000, 120_000}

// data are pushers' data.
var data = []string{
	``, `{"default_payload":{"session":"s","aps":{"mutable-content":1,"alert":{"loc-key":"N","loc-args":[]}}}}`,
	`{"default_payload":{"aps":{"alert":{"title":"T","body":"` + strings.Repeat("body é ", 100) + `"}},"long":"` + strings.Repeat("d", 700) + `"}}`,
	`{"default_payload":{"aps":{"alert":"` + strings.Repeat("alert 😀 ", 60) + `"},"ciphertext":"own","sender":"own","content":{"own":1}}}`,
	`{"data_message":"android","client_name":"c","default_payload":{"content":"own","x":"` + strings.Repeat("x", 200) + `"}}`,
	`{"default_payload":{"too":"` + strings.Repeat("l", 5000) + `"}}`,
	`{"client_name":"c","default_payload":{"user_id":"@u:example.org","session_id":"` + strings.Repeat("s", 2500) + `"}}`,
}

// control in a name means that a text consists of control characters.
const control = `"\x01"`

// mixed begins the names of notifications that are all tested: several members are large, so the order matters.
const mixed = "mixed"

// stride selects every n-th of the other notifications. REDUCE_ALL=1 tests all, which takes minutes.
const stride = 97

// Run checks that a provider makes the same messages for many devices from a notification, from its reduced form, and from that form after
// the outbox stored it, which must be small.
func Run(t *testing.T, reduce func(*providers.Notification) *providers.Notification, message func(*providers.Notification, *providers.Device) string) {
	t.Helper()
	different := make(map[string]bool)
	check := func(name string, n *providers.Notification) {
		before := *n
		reduced := reduce(n)
		if !reflect.DeepEqual(*n, before) {
			t.Errorf("%s: the notification was modified", name)
		}
		stored := reduced.Kept()
		kept := new(providers.Notification)
		if err := json.Unmarshal(stored, kept); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(stored) > providers.MaxKept || reduced.Body != nil && len(reduced.Body) > providers.MaxKept {
			t.Errorf("%s: %d bytes are kept", name, len(stored))
		}
		for i, d := range data {
			device := &providers.Device{AppID: "org.example.app", Pushkey: "pushkey", PushkeyTS: 1000, Data: json.RawMessage(d)}
			want := message(n, device)
			different[want] = true
			attempts := map[string]*providers.Notification{"reduced": reduced, "kept": kept, "reduced again": reduce(reduced)}
			if strings.Contains(name, control) && len(clientjson.Marshal(reduced)) > providers.MaxKept {
				delete(attempts, "kept") // a control character is one byte to FCM and six in JSON; nobody writes thousands of them
			}
			for how, n := range attempts {
				if got := message(n, device); got != want {
					t.Errorf("%s, data %d, %s:\n%.600s\nwant\n%.600s", name, i, how, got, want)
				}
			}
		}
	}
	all := notifications()
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if i%stride != 0 && !strings.HasPrefix(name, mixed) && os.Getenv("REDUCE_ALL") == "" {
			continue
		}
		n := all[name]()
		check(name, n)
		check(name+", without counts", n.WithoutCounts())
		check(name+", ids only", n.Reduced())
		if t.Failed() {
			t.FailNow()
		}
	}
	if len(different) < 50 {
		t.Errorf("there are only %d different messages", len(different))
	}
}

// notifications are by their special property.
func notifications() map[string]func() *providers.Notification {
	all := map[string]func() *providers.Notification{"a badge": func() *providers.Notification {
		return &providers.Notification{Badge: true, Counts: counts(), Body: json.RawMessage(`{"notification":{"counts":{"unread":1}}}`)}
	}}
	all["a wake-up"] = func() *providers.Notification { return &providers.Notification{Wake: true} }
	all["a wake-up with a long text"] = func() *providers.Notification {
		content, _ := json.Marshal(map[string]string{"msgtype": "m.text", "body": strings.Repeat("<é", 3000)})
		return &providers.Notification{Wake: true, Counts: counts(), Type: "m.room.message", Sender: "alice@example.org", Content: content}
	}
	for _, filler := range []string{"\x01", "<é", "\U0001f680"} {
		for _, fields := range []string{
			"content.body content.members", "content.body content.list content.msgtype", "content.members", "room_name content.body",
			"room_name content.members", "sender_display_name sender content.body", "org.example content.body",
		} {
			for _, length := range []int{900, 1990, 2700, 3600, 3990, 12_000} {
				all[fmt.Sprintf("%s: %s of %d times %q", mixed, fields, length, filler)] = func() *providers.Notification {
					return notification("m.room.message", fields, strings.Repeat(filler, length/len(filler)))
				}
			}
		}
	}
	for _, kind := range types {
		for _, field := range fields {
			for _, filler := range []string{"a", "\x01", "<é", "\U0001f680", "\u2028"} {
				for _, length := range lengths {
					if len(filler) > 1 && (length < 999 || length > 5000) && length != 30_000 {
						continue
					}
					all[fmt.Sprintf("type %q, %s of %d times %q", kind, field, length, filler)] = func() *providers.Notification {
						return notification(kind, field, strings.Repeat(filler, length/len(filler)))
					}
				}
			}
		}
		all[fmt.Sprintf("type %q, all long", kind)] = func() *providers.Notification {
			return notification(kind, strings.Join(fields[3:8], " ")+" "+strings.Join(fields[11:], " "), strings.Repeat("é<", 800))
		}
	}
	return all
}

func counts() providers.Counts {
	one := int64(1)
	return providers.Counts{Unread: &one}
}

// notification returns one of a type with the value in fields, decoded like a homeserver's request.
func notification(kind, in, value string) *providers.Notification {
	m := map[string]any{
		"event_id": "$event", "room_id": "!room:example.org", "type": kind, "sender": "@s:example.org", "sender_display_name": "S & <T>",
		"room_name": "Room", "membership": "invite", "user_is_target": true, "counts": map[string]any{"unread": 1}, "prio": "high", "devices": []any{},
	}
	content := map[string]any{"msgtype": "m.text", "body": "hello", "offer": map[string]any{"sdp": "v=0 m=video"}, "info": map[string]any{"w": 1}}
	for _, field := range strings.Fields(in) {
		switch name, isContent := strings.CutPrefix(field, "content."); {
		case name == "members":
			for i := range len(value) / 40 {
				content[fmt.Sprintf("member%d", i)] = value[:min(len(value), 30)]
			}
		case name == "list":
			content[name] = []string{value}
		case isContent:
			content[name] = value
		default:
			m[field] = value
		}
	}
	m["content"] = content
	text := func(name string) string { s, _ := m[name].(string); return s }
	raw, _ := json.Marshal(content)
	body, _ := json.Marshal(map[string]any{"notification": m})
	n := &providers.Notification{
		EventID: text("event_id"), RoomID: text("room_id"), Type: kind, Sender: text("sender"), SenderDisplayName: text("sender_display_name"),
		RoomName: text("room_name"), RoomAlias: text("room_alias"), Membership: text("membership"), UserIsTarget: true, Counts: counts(),
		Content: raw, Encrypted: providers.Encrypted{Ciphertext: text("ciphertext"), Ephemeral: text("ephemeral"), MAC: text("mac")}, Body: body,
	}
	if t, ok := m["type"].(string); ok {
		n.Type = t
	}
	n.ShareMembers()
	return n
}
