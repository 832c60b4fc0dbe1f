package apns

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
)

// These are the data that clients register for their pushers.
const (
	elementX = `{"format": "event_id_only", "default_payload": {"aps": {"mutable-content": 1, "alert": {"loc-key": "Notification",
		"loc-args": []}}, "pusher_notification_client_identifier": "3WvZ"}}`
	elementClassic = `{"format": "event_id_only", "default_payload": {"aps": {"mutable-content": 1, "alert": {"loc-key": "MESSAGE",
		"loc-args": []}}}}`
	fluffyChat = `{"format": "event_id_only", "data_message": "ios", "client_name": "FluffyChat ios"}`

	contentAvailable = `{"default_payload": {"aps": {"content-available": 1, "mutable-content": 1, "sound": "ping", "badge": 7}, "session": "s"}}`
	stringAlert      = `{"default_payload": {"aps": {"alert": "News", "sound": "ping"}}}`
	objectAlert      = `{"default_payload": {"aps": {"mutable-content": 1, "alert": {"title": "Element", "body": "News", "loc-key": "Old",
		"loc-args": ["old"]}, "badge": 7}, "session": {"a": [1.0, 12345678901234567890, "<&>"]}}}`
	othersIDs = `{"default_payload": {"room_id": "!other", "event_id": ["$other"], "unread_count": 99, "aps": {"alert": "News"}}}`
)

// goldens are all forms of a payload: each client's, and each row of Sygnal's tables.
var goldens = []struct {
	name       string
	n          *providers.Notification
	data       string
	o          options
	background bool
}{
	{"element_x_ios", notice().Reduced(), elementX, options{}, false},
	{"element_x_ios_full", notice(), elementX, options{}, false},
	{"element_ios_classic", notice().Reduced(), elementClassic, options{}, false},
	{"element_ios_classic_full", notice(), elementClassic, options{}, false},
	{"fluffychat_ios", notice().Reduced(), fluffyChat, options{}, true},
	{"voip_call", notice(call("audio")), ``, options{}, false},
	{"voip_ids", notice(call("audio")).Reduced(), `{}`, options{}, true},

	{"message_in_room_with_content", notice(), ``, options{}, false},
	{"message_in_room", notice(content(`null`)), ``, options{}, false},
	{"message_with_content", notice(noRoom), ``, options{}, false},
	{"message", notice(noRoom, content(`{"body": "no msgtype"}`)), ``, options{}, false},
	{"message_of_unknown_kind", notice(content(`{"msgtype": "org.example", "body": "text"}`)), ``, options{}, false},
	{"emote_in_room", notice(content(`{"msgtype": "m.emote", "body": "waves"}`)), ``, options{}, false},
	{"emote", notice(noRoom, content(`{"msgtype": "m.emote", "body": "waves"}`)), ``, options{}, false},
	{"image_in_room", notice(content(`{"msgtype": "m.image", "body": "cat.png"}`)), ``, options{}, false},
	{"image", notice(noRoom, content(`{"msgtype": "m.image", "body": "cat.png"}`)), ``, options{}, false},
	{"encrypted_in_room", notice(kind("m.room.encrypted"), content(`{"algorithm": "m.megolm", "ciphertext": "c"}`)), ``, options{}, false},
	{"call_voice", notice(call("audio")), ``, options{}, false},
	{"call_video", notice(call("video")), ``, options{}, false},
	{"invite_to_named_room", notice(member("invite", true)), ``, options{}, false},
	{"invite_to_alias", notice(member("invite", true), alias), ``, options{}, false},
	{"invite_to_chat", notice(member("invite", true), noRoom), ``, options{}, false},
	{"invite_without_user_is_target", notice(member("invite", false)), ``, options{}, false},
	{"leave_is_only_a_badge", notice(member("leave", true)), ``, options{}, false},
	{"other_type", notice(kind("org.example.poll")), ``, options{}, false},
	{"sender_without_name", notice(noRoom, func(n *providers.Notification) { n.SenderDisplayName = "" }), ``, options{}, false},
	{"nobody", notice(noRoom, func(n *providers.Notification) { n.SenderDisplayName, n.Sender = "", "" }), ``, options{}, false},

	{"badge", count(4, 1), elementX, options{threadRoom: true}, false},
	{"badge_zero", messagetest.Badge(), ``, options{}, false},
	{"badge_zero_in_full", notice(counts(0)), ``, options{}, false},
	{"counts_off_in_full", notice().WithoutCounts(), ``, options{}, false},
	{"counts_off_in_ids", notice().Reduced().WithoutCounts(), elementX, options{}, false},
	{"counts_zero_in_ids", notice(counts(0)).Reduced(), elementX, options{}, false},

	{"ids_without_default_are_a_sync", notice().Reduced(), ``, options{threadRoom: true}, true},
	{"ids_without_alert_are_a_sync", notice().Reduced(), contentAvailable, options{}, true},
	{"ids_with_empty_alert_are_a_sync", notice().Reduced(), `{"default_payload": {"aps": {"alert": { }}}}`, options{}, true},
	{"ids_with_string_alert", notice().Reduced(), stringAlert, options{}, false},
	{"ids_with_object_alert", notice().Reduced(), objectAlert, options{}, false},
	{"ids_msc3013", notice(encrypted).Reduced(), elementX, options{}, false},
	{"full_merged_into_object_alert", notice(), objectAlert, options{}, false},
	{"full_instead_of_string_alert", notice(), stringAlert, options{}, false},
	{"full_with_content_available", notice(), contentAvailable, options{}, false},
	{"default_ids_never_count_in_ids", notice().Reduced(), othersIDs, options{}, false},
	{"default_ids_never_count_in_full", notice(), othersIDs, options{}, false},
	{"default_ids_never_count_without_alert", notice(member("join", true)), othersIDs, options{}, false},
	{"thread_of_room_in_ids", notice().Reduced(), elementX, options{threadRoom: true}, false},
	{"thread_of_room_in_full", notice(), ``, options{threadRoom: true}, false},
}

func TestPayloads(t *testing.T) {
	t.Parallel()
	for _, test := range goldens {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, err := build(test.n, deviceWith(test.data), test.o, 4096)
			if err != nil {
				t.Fatal(err)
			}
			messagetest.Golden(t, test.name, m.payload)
			if m.background != test.background {
				t.Errorf("background is %t", m.background)
			}
		})
	}
}

func TestWhatIsNotSent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		n    *providers.Notification
		data string
		want error
	}{
		{"a badge without a number", messagetest.Badge().WithoutCounts(), elementX, errNothing},
		{"a membership without a number", notice(member("leave", true)).WithoutCounts(), elementX, errNothing},
		{"ids that are too large", notice(func(n *providers.Notification) { n.EventID = strings.Repeat("$", 5000) }), ``, errTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, err := build(test.n, deviceWith(test.data), options{}, 4096)
			if !errors.Is(err, test.want) || m.payload != nil {
				t.Errorf("got %s (%v), want %v", m.payload, err, test.want)
			}
		})
	}
}

// Guards against rejecting a pusher for its default_payload: a rejected pusher is deleted.
func TestWhatIsWrongWithADefaultPayloadIsLeftOutAndReportedOnce(t *testing.T) {
	t.Parallel()
	const missing, title = `{"default_payload": {}}`, `{"default_payload": {"cs": "s", "aps": {"sound": "ping", "alert": {"title": "t"}}}}`
	tests := []struct {
		name, data string
		same       string // a pusher that gets the same
		field      string // the reported field; empty if there is none
	}{
		{"a default_payload that is a string", `{"default_payload": "x"}`, missing, "data.default_payload"},
		{"a default_payload that is a list", `{"default_payload": [{"aps": {}}]}`, missing, "data.default_payload"},
		{"a default_payload that is null", `{"default_payload": null}`, missing, ""},
		{"a default_payload of other capitals", `{"Default_Payload": {"a": 1}}`, missing, ""},
		{"an aps that is a number", `{"default_payload": {"cs": "s", "aps": 1}}`, `{"default_payload": {"cs": "s"}}`, "data.default_payload.aps"},
		{"an aps that is null", `{"default_payload": {"cs": "s", "aps": null}}`, `{"default_payload": {"cs": "s"}}`, ""},
		{
			"an alert that is a number", `{"default_payload": {"aps": {"sound": "ping", "alert": 1}}}`,
			`{"default_payload": {"aps": {"sound": "ping"}}}`, "data.default_payload.aps.alert",
		},
		{"an alert that is a list", `{"default_payload": {"aps": {"alert": []}}}`, missing, "data.default_payload.aps.alert"},
		{"an alert that is null", `{"default_payload": {"aps": {"alert": null}}}`, missing, ""},
		{"all is well", title, title, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			faults, reported := messagetest.Faults()
			for _, n := range []*providers.Notification{notice(), notice().Reduced(), messagetest.Badge()} {
				got, err := build(n, deviceWith(test.data), options{faults: faults}, 4096)
				want, wantErr := build(n, deviceWith(test.same), options{}, 4096)
				if err != nil || wantErr != nil || string(got.payload) != string(want.payload) || got.background != want.background {
					t.Errorf("got %s (%v), want %s (%v)", got.payload, err, want.payload, wantErr)
				}
			}
			messagetest.WantReported(t, reported, test.field)
		})
	}
}

// deviceWith returns a device with this data.
func deviceWith[T string | []byte | json.RawMessage](data T) *providers.Device {
	return &providers.Device{AppID: "org.example", Pushkey: pushkey, Data: json.RawMessage(data)}
}

func TestNamesAreCutAt1024Characters(t *testing.T) {
	t.Parallel()
	n := notice(content(`{"msgtype": "m.text", "body": "`+strings.Repeat("b", 1025)+`"}`), func(n *providers.Notification) {
		n.SenderDisplayName, n.RoomName = strings.Repeat("€", 1025), strings.Repeat("r", 1025)
	})
	_, args := locKey(n)
	for i, want := range []int{1024, 1024, 1025} {
		if got := utf8.RuneCountInString(args[i]); got != want {
			t.Errorf("argument %d has %d characters, want %d", i, got, want)
		}
	}
}

func TestOnlyAMessageWithATextHasOne(t *testing.T) {
	t.Parallel()
	for _, c := range []string{
		``, `{}`, `[]`, `{"body": "b"}`, `{"msgtype": "m.text"}`, `{"msgtype": 1, "body": "b"}`, `{"msgtype": "m.text", "body": ["b"]}`,
		`{"msgtype": null, "body": "b"}`, `{"msgtype": "m.image", "body": null}`, `{"msgtype": "m.text", "body": ""}`,
	} {
		if key, args := locKey(notice(content(c))); key != "MSG_FROM_USER_IN_ROOM" || !slices.Equal(args, []string{"Alice", "Ops"}) {
			t.Errorf("%s: %s %q", c, key, args)
		}
	}
}

// Guards against review 2.8: the alert lost its text.
func TestAMemberInOtherCapitalsIsNotTheContents(t *testing.T) {
	t.Parallel()
	for _, c := range []string{`{"msgtype": "m.text", "body": "b", "Body": 1}`, `{"MSGTYPE": "m.image", "msgtype": "m.text", "body": "b"}`} {
		key, args := locKey(notice(content(c)))
		if key != "MSG_FROM_USER_IN_ROOM_WITH_CONTENT" || !slices.Equal(args, []string{"Alice", "Ops", "b"}) {
			t.Errorf("%s: %s %q", c, key, args)
		}
	}
}

func TestACallIsVoiceUnlessItOffersVideo(t *testing.T) {
	t.Parallel()
	for _, c := range []string{``, `{}`, `{"offer": null}`, `{"offer": "m=video"}`, `{"offer": {"sdp": 1}}`, `{"sdp": "m=video"}`} {
		if key, _ := locKey(notice(kind("m.call.invite"), content(c))); key != "VOICE_CALL_FROM_USER" {
			t.Errorf("%s: %s", c, key)
		}
	}
}

// Guards against panics, and against payloads that a default_payload must not cause.
func FuzzBuild(f *testing.F) {
	for _, request := range corpus.Requests() {
		f.Add("", `{}`, string(request.Device().Data), 4096)
		f.Add("m.room.message", `{"msgtype": "m.text", "body": "b"}`, string(request.Device().Data), 300)
	}
	for _, data := range []string{elementX, contentAvailable, stringAlert, objectAlert, othersIDs, "{\"default_payload\":{\"x\":\"\xff\"}}"} {
		f.Add("", `{}`, data, 4096)
		f.Add("m.room.message", `{"msgtype": "m.text", "body": "\ud83d\ude00\ud800"}`, data, 300)
	}
	f.Fuzz(func(t *testing.T, kind, content, data string, limit int) {
		if !json.Valid([]byte(content)) || !json.Valid([]byte(data)) {
			return
		}
		n := notice()
		n.Type, n.Content = kind, json.RawMessage(content)
		limit = 200 + (limit&0xffff)%5000
		m, err := build(n, deviceWith(data), options{threadRoom: true}, limit)
		if err != nil {
			t.Fatal(err) // the ids always fit, so there is always a payload
		}
		if len(m.payload) > limit || !utf8.Valid(m.payload) {
			t.Fatalf("%d bytes of %d: %q", len(m.payload), limit, m.payload)
		}
		got := decode(t, m.payload)
		aps, _ := got["aps"].(map[string]any)
		if shown := aps["alert"] != nil || aps["badge"] != nil; shown == m.background {
			t.Errorf("background is %t: %s", m.background, m.payload)
		}
		if silent := kind == "m.room.member" && !m.background; !silent && (got["room_id"] != n.RoomID || got["event_id"] != n.EventID) {
			t.Errorf("the ids are not the notification's: %s", m.payload)
		}
	})
}

// notice returns an alert after changes.
func notice(changes ...func(*providers.Notification)) *providers.Notification {
	n := messagetest.Alert()
	for _, change := range changes {
		change(n)
	}
	return n
}

func noRoom(n *providers.Notification) { n.RoomName, n.RoomAlias = "", "" }

func alias(n *providers.Notification) { n.RoomName = "" }

func encrypted(n *providers.Notification) {
	n.Encrypted = providers.Encrypted{Ciphertext: "c", Ephemeral: "e", MAC: "m"}
}

func kind(of string) func(*providers.Notification) {
	return func(n *providers.Notification) { n.Type = of }
}

func content(c string) func(*providers.Notification) {
	return func(n *providers.Notification) { n.Content = json.RawMessage(c) }
}

func counts(unread int64) func(*providers.Notification) {
	return func(n *providers.Notification) { n.Counts = providers.Counts{Unread: &unread} }
}

func call(media string) func(*providers.Notification) {
	return func(n *providers.Notification) {
		n.Type = "m.call.invite"
		n.Content = json.RawMessage(`{"offer": {"type": "offer", "sdp": "v=0\r\nm=` + media + ` 9 UDP/TLS/RTP/SAVPF 111\r\n"}, "version": 1}`)
	}
}

func member(membership string, target bool) func(*providers.Notification) {
	return func(n *providers.Notification) {
		n.Type, n.Membership, n.UserIsTarget = "m.room.member", membership, target
	}
}

func count(unread, missed int64) *providers.Notification {
	return &providers.Notification{Badge: true, Counts: providers.Counts{Unread: &unread, MissedCalls: &missed}}
}
