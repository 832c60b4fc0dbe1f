package fcm

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// fcmLimit is FCM's limit, https://firebase.google.com/docs/cloud-messaging/customize-messages/set-message-type.
const fcmLimit = 4096

const (
	elementData   = `{"format": "event_id_only"}`
	elementXData  = `{"format": "event_id_only", "default_payload": {"cs": "client-secret"}}`
	fluffyData    = `{"format": "event_id_only", "client_name": "FluffyChat-1", "data_message": "android"}`
	fluffyIOSData = `{"format": "event_id_only", "client_name": "FluffyChat-1", "data_message": "ios"}`
	fluffyNoData  = `{"format": "event_id_only", "client_name": "FluffyChat-1"}`
	fluffyDefault = `{"client_name": "FluffyChat-1", "data_message": true, "default_payload": {"brand": "x", "devices": [],
		"content": {"body": "x"}, "counts": {"unread": 99}, "user_is_target": true}}`
	strangeDefault = `{"default_payload": {"text": "a < b", "number": 1.50, "yes": true, "nothing": null, "object": {"a": [1, "<"]},
		"list": [ 1, 2 ], "empty": "", "": "x", "from": "x", "message_type": "x", "google.x": "x", "gcm.n.e": "1", "googleplex": "x",
		"room_id": "!other", "event_id": "$other", "prio": "urgent", "unread": 99, "missed_calls": 99, "mac": "x",
		"type": "of the client", "collapse_key": "k"}}`
)

func TestData(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		n     *providers.Notification
		appID string
		data  string
	}{
		{"element_android", messagetest.Alert().Reduced(), "im.vector.app.android", elementData},
		{"element_x_android", messagetest.Alert().Reduced(), "io.element.android.x", elementXData},
		{"element_x_android_badge_zero", messagetest.Badge(), "io.element.android.x", elementXData},
		{"schildichat", messagetest.Alert().Reduced(), "de.spiritcroc.riotx", elementData},
		{"fluffychat_android", messagetest.Alert().Reduced(), "chat.fluffy.fluffychat.ABCDEF", fluffyData},
		{"fluffychat_android_full", invitation(), "chat.fluffy.fluffychat.ABCDEF", fluffyData},
		{"fluffychat_android_badge_zero", messagetest.Badge(), "chat.fluffy.fluffychat.ABCDEF", fluffyData},
		{"fluffychat_android_without_counts", messagetest.Alert().Reduced().WithoutCounts(), "chat.fluffy.fluffychat.ABCDEF", fluffyData},
		{"fluffychat_android_low", low(), "chat.fluffy.fluffychat.ABCDEF", fluffyData},
		{"fluffychat_android_encrypted", encrypted(), "chat.fluffy.fluffychat.ABCDEF", fluffyData},
		{"fluffychat_android_default_payload", messagetest.Badge(), "chat.fluffy.fluffychat.ABCDEF", fluffyDefault},
		{"fluffychat_ios", messagetest.Alert().Reduced(), "chat.fluffy.fluffychat", fluffyIOSData},
		{"fluffychat_before_data_message", messagetest.Alert().Reduced(), "chat.fluffy.fluffychat.data_message", ``},
		{"fluffychat_without_data_message", messagetest.Alert().Reduced(), "chat.fluffy.fluffychat.ABCDEF", fluffyNoData},
		{"badge", unreadCount(7), "im.vector.app.android", elementData},
		{"badge_zero", unreadCount(0), "im.vector.app.android", elementData},
		{"full", strangeContent(), "im.vector.app.android", `{}`},
		{"full_membership", invitation(), "im.vector.app.android", `{}`},
		{"full_without_counts", messagetest.Alert().WithoutCounts(), "im.vector.app.android", `{}`},
		{"large_fields", largeFields(), "im.vector.app.android", `{}`},
		{"default_payload", messagetest.Alert().Reduced(), "im.vector.app.android", strangeDefault},
		{"low", low(), "im.vector.app.android", elementData},
		{"missed_calls", missedCalls(0), "im.vector.app.android", elementData},
		{"encrypted", encrypted(), "org.example.encrypted", `{"algorithm": "m.curve25519-aes-sha2"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &providers.Device{
				AppID: test.appID, Pushkey: "fcm-token:APA91b", PushkeyTS: 1_655_896_032_000,
				Data: json.RawMessage(test.data), Tweaks: json.RawMessage(`{"highlight": true, "sound": "default"}`),
			}
			members, err := data(test.n, d, fcmLimit, nil)
			if err != nil {
				t.Fatal(err)
			}
			messagetest.Golden(t, test.name, clientjson.Marshal(members))
			checkData(t, members, test.n, fcmLimit)
			if isDataMessage(d) {
				checkFluffyChatParses(t, members, d)
			}
		})
	}
}

func TestNoData(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		n     *providers.Notification
		data  string
		limit int
		want  error
	}{
		{"a badge without counts", unreadCount(1).WithoutCounts(), `{}`, fcmLimit, errNothing},
		{"a badge without counts, with a default_payload", unreadCount(1).WithoutCounts(), elementXData, fcmLimit, errNothing},
		{"a content without ids", &providers.Notification{Content: json.RawMessage(`{"body": "x"}`)}, `{}`, fcmLimit, errNothing},
		{"ids that do not fit", &providers.Notification{EventID: "$" + strings.Repeat("x", fcmLimit)}, `{}`, fcmLimit, errTooLarge},
		{"ids that do not fit beside the operator's options", messagetest.Alert(), `{}`, 30, errTooLarge},
		{"no room at all", unreadCount(0), `{}`, -1, errTooLarge},
		{"an encrypted push that does not fit", encrypted(), `{}`, 50, errTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			members, err := data(test.n, &providers.Device{Data: json.RawMessage(test.data)}, test.limit, nil)
			if !errors.Is(err, test.want) || members != nil {
				t.Errorf("got %v, %v, want %v", members, err, test.want)
			}
		})
	}
}

// Guards against rejecting a pusher for its default_payload: a rejected pusher is deleted.
func TestADefaultPayloadThatIsNotAnObjectIsLeftOutAndReportedOnce(t *testing.T) {
	t.Parallel()
	for defaults, field := range map[string]string{
		`"cs"`: "data.default_payload", `[{"cs": "s"}]`: "data.default_payload", `7`: "data.default_payload", `null`: "", `{}`: "",
	} {
		t.Run(defaults, func(t *testing.T) {
			t.Parallel()
			faults, reported := messagetest.Faults()
			d := &providers.Device{AppID: "org.example", Data: json.RawMessage(`{"default_payload": ` + defaults + `}`)}
			for _, n := range []*providers.Notification{messagetest.Alert(), messagetest.Alert().Reduced(), unreadCount(1)} {
				got, err := data(n, d, fcmLimit, faults)
				want, wantErr := data(n, &providers.Device{AppID: "org.example"}, fcmLimit, nil)
				if err != nil || wantErr != nil || !maps.Equal(got, want) {
					t.Errorf("got %v (%v), want %v (%v)", got, err, want, wantErr)
				}
			}
			messagetest.WantReported(t, reported, field)
		})
	}
}

func TestALongTextIsCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{ // Sygnal's
		{"it fits", strings.Repeat("x", 1024), strings.Repeat("x", 1024)},
		{"a byte too many", strings.Repeat("x", 1025), strings.Repeat("x", 1021) + "…"},
		{"a character of three bytes", strings.Repeat("x", 1020) + "⚑⚑", strings.Repeat("x", 1020) + "…"},
		{"characters of two bytes", strings.Repeat("é", 513), strings.Repeat("é", 510) + "…"},
		{"characters of four bytes", strings.Repeat("😀", 300), strings.Repeat("😀", 255) + "…"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			content := clientjson.Marshal(map[string]string{"body": test.text})
			n := &providers.Notification{RoomID: "!r", RoomName: test.text, Content: content}
			members, err := data(n, &providers.Device{}, fcmLimit, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"room_name", "content_body"} {
				if got := members[name]; got != test.want {
					t.Errorf("%s has %d bytes and ends with %q, want %d", name, len(got), got[len(got)-5:], len(test.want))
				}
			}
		})
	}
}

func TestIDsAreNotCut(t *testing.T) {
	t.Parallel()
	n := &providers.Notification{EventID: "$" + strings.Repeat("e", 1500), RoomID: "!" + strings.Repeat("r", 1500)}
	members, err := data(n, &providers.Device{}, fcmLimit, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkData(t, members, n, fcmLimit)
}

func TestIsDataMessage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		appID, data string
		want        bool
	}{
		{"a", `{"data_message": "android"}`, true},
		{"a", `{"data_message": "ios"}`, true},
		{"a", `{"data_message": true}`, true},
		{"a.data_message", ``, true},
		{"a.data_message", `{"data_message": false}`, true},
		{"a", `{"data_message": false}`, false},
		{"a", `{"data_message": ""}`, false},
		{"a", `{"data_message": null}`, false},
		{"a", `{"data_message": 1}`, false},
		{"a", `{"brand": "data_message"}`, false},
		{"a.data_message.b", `{}`, false},
		{"a", ``, false},
	}
	for _, test := range tests {
		if got := isDataMessage(&providers.Device{AppID: test.appID, Data: json.RawMessage(test.data)}); got != test.want {
			t.Errorf("%s with %s: %t", test.appID, test.data, got)
		}
	}
}

func TestTweaksThatFluffyChatCannotParseAreLeftOut(t *testing.T) {
	t.Parallel()
	d := &providers.Device{AppID: "a.data_message", Tweaks: json.RawMessage(`{"sound": 5}`)}
	members, err := data(messagetest.Alert(), d, fcmLimit, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkFluffyChatParses(t, members, d)
}

// checkFluffyChatParses does the same as PushNotification.fromJson, see hedwigMembers: an unexpected type throws an exception there, and no
// notification appears.
func checkFluffyChatParses(t testing.TB, members map[string]string, d *providers.Device) {
	t.Helper()
	if content, ok := members["content"]; ok {
		var object map[string]any
		if err := json.Unmarshal([]byte(content), &object); err != nil {
			t.Errorf("content: %v in %s", err, content)
		}
	}
	if counts, ok := members["counts"]; ok {
		var object map[string]int64
		if err := json.Unmarshal([]byte(counts), &object); err != nil || object == nil {
			t.Errorf("counts: %v in %s", err, counts)
		}
	}
	var devices []struct {
		AppID     *string        `json:"app_id"`
		Pushkey   *string        `json:"pushkey"`
		PushkeyTS *int64         `json:"pushkey_ts"`
		Data      map[string]any `json:"data"`
		Tweaks    *struct {
			Sound *string `json:"sound"`
		} `json:"tweaks"`
	}
	if err := json.Unmarshal([]byte(members["devices"]), &devices); err != nil || devices == nil || len(devices) > 1 {
		t.Fatalf("devices: %v in %q", err, members["devices"])
	}
	for _, device := range devices {
		if device.AppID == nil || device.Pushkey == nil || *device.AppID != strings.ToValidUTF8(d.AppID, "\uFFFD") {
			t.Errorf("not the device: %s", members["devices"])
		}
	}
}

func unreadCount(unread int64) *providers.Notification {
	return &providers.Notification{Badge: true, Counts: providers.Counts{Unread: &unread}}
}

func missedCalls(calls int64) *providers.Notification {
	return &providers.Notification{Badge: true, Counts: providers.Counts{MissedCalls: &calls}}
}

func low() *providers.Notification {
	n := messagetest.Alert().Reduced()
	n.Prio = providers.PrioLow
	return n
}

// invitation is an invitation of the user.
func invitation() *providers.Notification {
	n := messagetest.Alert()
	n.Type, n.Membership, n.UserIsTarget = "m.room.member", "invite", true
	n.Content = json.RawMessage(`{"membership": "invite", "displayname": "Bob", "is_direct": true}`)
	return n
}

// strangeContent has members that are not strings: Sygnal's test_expected_api_v1.
func strangeContent() *providers.Notification {
	n := messagetest.Alert()
	n.Content = json.RawMessage(`{"msgtype": "m.text", "body": "I'm floating in a most peculiar way.", "other": 1, "no": false,
		"null": null, "m.relates_to": {"event_id": "$other"}, "list": ["x"], "": "no name"}`)
	return n
}

// largeFields are those of Sygnal's test_api_v1_large_fields.
func largeFields() *providers.Notification {
	n := messagetest.Alert()
	n.RoomName = strings.Repeat("x", 1025)
	n.Content = clientjson.Marshal(map[string]string{"body": "text", "other": strings.Repeat("x", 1020) + "⚑⚑"})
	return n
}

// encrypted has no member in clear text.
func encrypted() *providers.Notification {
	return &providers.Notification{Encrypted: providers.Encrypted{Ciphertext: "Y2lwaGVydGV4dA", Ephemeral: "ZXBoZW1lcmFs", MAC: "bWFj"}}
}
