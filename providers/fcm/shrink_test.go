package fcm

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// As the limit shrinks byte by byte, the members go in the order that the type draft documents.
func TestWhatGoesFirst(t *testing.T) {
	t.Parallel()
	content := clientjson.Marshal(map[string]any{
		"body": strings.Repeat("b", 200), "msgtype": "m.text",
		"formatted_body": strings.Repeat("f", 300), "filename": "file", "location": "here",
	})
	full := messagetest.Alert()
	full.Type, full.Membership, full.UserIsTarget, full.Content = "m.room.member", "invite", true, content
	full.Encrypted = encrypted().Encrypted
	hidden := encrypted()
	tests := []struct {
		name string
		n    *providers.Notification
		data string
		want string
	}{
		{
			"Sygnal's", full, `{"default_payload": {"cs": "secret", "b": "x", "a": "x", "room_name": "not that one"}}`,
			`content_formatted_body content_filename content_location content_body~ content_body content_msgtype room_alias room_name
			sender_display_name membership type sender ciphertext+ephemeral+mac cs a b`,
		},
		{
			"Hedwig's", full, `{"data_message": "android", "client_name": "c", "default_payload": {"cs": "secret"}}`,
			`content room_alias room_name sender_display_name user_is_target type sender devices~ ciphertext+ephemeral+mac cs devices~`,
		},
		{"with nothing but what is encrypted", hidden, `{"default_payload": {"cs": "secret"}}`, `cs`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &providers.Device{Pushkey: "token", Data: json.RawMessage(test.data), Tweaks: json.RawMessage(`{"sound": "default"}`)}
			var gone []string
			var last map[string]string
			for limit := fcmLimit; ; limit-- {
				members, err := data(test.n, d, limit, nil)
				if errors.Is(err, errTooLarge) {
					break
				}
				checkData(t, members, test.n, limit)
				gone = append(gone, difference(last, members)...)
				last = members
			}
			if want := strings.Fields(test.want); !slices.Equal(slices.Compact(gone), want) {
				t.Errorf("got  %v\nwant %v", slices.Compact(gone), want)
			}
		})
	}
}

// difference returns what is missing, or else what changed.
func difference(from, to map[string]string) []string {
	var gone, changed []string
	for _, name := range slices.Sorted(maps.Keys(from)) {
		if value, ok := to[name]; !ok {
			gone = append(gone, name)
		} else if value != from[name] {
			changed = append(changed, name+"~")
		}
	}
	if len(gone) > 0 {
		return []string{strings.Join(gone, "+")}
	}
	return changed
}

func TestACutBodyUsesTheRoomThereIs(t *testing.T) {
	t.Parallel()
	content := clientjson.Marshal(map[string]string{"body": strings.Repeat("😀", 100), "other": "x"})
	n := &providers.Notification{RoomID: "!r", Content: content}
	for _, test := range []struct{ room, want int }{{400, 400}, {399, 399}, {398, 395}, {100, 99}, {99, 0}} {
		rest := len("room_id!r" + "priohigh" + "content_body")
		members, err := data(n, &providers.Device{}, rest+test.room, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body := members["content_body"]; len(body) != test.want || !utf8.ValidString(body) {
			t.Errorf("with room for %d bytes the body has %d, want %d: %s", test.room, len(body), test.want, body)
		}
	}
}

func TestTheSameMessageIsMadeEachTime(t *testing.T) {
	t.Parallel()
	content := make(map[string]string)
	for _, name := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		content[name] = strings.Repeat("x", 200)
	}
	n := &providers.Notification{RoomID: "!r", Content: clientjson.Marshal(content)}
	first, err := data(n, &providers.Device{}, fcmLimit, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if again, err := data(n, &providers.Device{}, fcmLimit, nil); err != nil || !maps.Equal(first, again) {
			t.Fatalf("got %v (%v), then %v", first, err, again)
		}
	}
	if _, ok := first["content_z"]; !ok || first["content_a"] != "" {
		t.Error("of members of one size the first by name did not go first")
	}
}

func FuzzData(f *testing.F) {
	for i, request := range corpus.Requests() {
		f.Add(`{"body": "b", "msgtype": "m.text"}`, string(request.Device().Data), corpus.AppID, "$event", "!room", i, fcmLimit-i*50)
	}
	f.Add(`{"body": "b", "msgtype": "m.text", "n": 1}`, elementXData, "io.element.android.x", "$event", "!room", 0, fcmLimit)
	f.Add(`{"body": "b"}`, strangeDefault, "a.data_message", "$event", "", 1, 400)
	f.Add(`{"\ud800": "\ud800", "x": "`+"\xff"+`"}`, `{"default_payload": {"`+"\xff"+`": ["`+"\xff"+`"]}}`, "a", "", "!room", 3, 100)
	f.Add(`{"body": "😀😀😀"}`, fluffyData, "chat.fluffy", "", "", 2, 150)
	f.Fuzz(func(t *testing.T, content, pusher, appID, eventID, roomID string, bits, limit int) {
		if !utf8.ValidString(eventID) || !utf8.ValidString(roomID) || !utf8.ValidString(appID) || !utf8.ValidString(content) && bits&4 != 0 {
			t.Skip() // decoded from JSON, they are
		}
		n := &providers.Notification{EventID: eventID, RoomID: roomID, Sender: "@a:b", Prio: providers.Priority(bits & 1)}
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(content), &object) == nil && object != nil {
			n.Content = json.RawMessage(content)
		}
		if bits&2 != 0 {
			n.Counts.Unread = new(int64(bits))
		}
		if bits&4 != 0 && hasClearText(n) {
			n.Encrypted = providers.Encrypted{Ciphertext: content}
		}
		d := &providers.Device{AppID: appID, Pushkey: "token"}
		if json.Unmarshal([]byte(pusher), &object) == nil && object != nil {
			d.Data, d.Tweaks = json.RawMessage(pusher), json.RawMessage(pusher)
		}
		limit %= 2 * fcmLimit
		members, err := data(n, d, limit, nil)
		// These are the longest forms of what always stays: a count has at most 20 digits.
		least := len(eventID+roomID) + len(`event_idroom_idprionormaldevices[]counts{"unread":}`) + 20
		if errors.Is(err, errTooLarge) && limit >= least {
			t.Errorf("%d bytes are enough, but %d were not", least, limit)
		}
		if err != nil {
			return
		}
		checkData(t, members, n, limit)
		if isDataMessage(d) {
			checkFluffyChatParses(t, members, d)
		}
	})
}

// checkData checks the rules that all data must follow.
func checkData(t testing.TB, members map[string]string, n *providers.Notification, limit int) {
	t.Helper()
	size := 0
	for name, value := range members {
		size += len(name) + len(value)
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			t.Errorf("%q is not UTF-8: %q", name, value)
		}
		if name == "" || name == "from" || name == "message_type" || strings.HasPrefix(name, "google.") || strings.HasPrefix(name, "gcm.") {
			t.Errorf("FCM forbids the name %q", name)
		}
	}
	if size > limit {
		t.Errorf("%d bytes, more than %d", size, limit)
	}
	if members["event_id"] != n.EventID || members["room_id"] != n.RoomID {
		t.Errorf("the ids are %q and %q", members["event_id"], members["room_id"])
	}
	if members["prio"] == "" {
		t.Error("there is no prio")
	}
	if unread, ok := members["unread"]; ok && n.Counts.Unread == nil {
		t.Errorf("unread is %s, and nobody set it", unread)
	}
}
