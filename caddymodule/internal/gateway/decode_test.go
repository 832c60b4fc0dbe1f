package gateway

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

const oneDevice = `"devices":[{"app_id":"app","pushkey":"key"}]`

func TestABadgeUpdateIsDistinguishedFromAnAlert(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, members string
		badge         bool
	}{
		{"Synapse's badge update, with a null type", `"id":"","type":null,"sender":"","counts":{"unread":0}`, true},
		{"Dendrite's badge update", `"counts":{"unread":1}`, true},
		{"nothing but devices", `"prio":"low"`, true},
		{"empty and null members are absent", `"event_id":null,"room_id":"","type":"","content":{ }`, true},
		{"an event_id makes an alert", `"event_id":"$e"`, false},
		{"a seed-style id makes an alert", `"id":"$e"`, false},
		{"an id of any other kind does as well", `"id":"e"`, false},
		{"a room_id makes an alert", `"room_id":"!r"`, false},
		{"a type makes an alert", `"type":"m.call.invite"`, false},
		{"content makes an alert", `"content":{"body":"x"}`, false},
		{"what is encrypted for the client is an alert, for all that we know", `"ciphertext":"c","ephemeral":"e","mac":"m"`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := mustDecode(t, `{"notification":{`+tt.members+`,`+oneDevice+`}}`)
			if r.Notification.Badge != tt.badge {
				t.Errorf("Badge = %v, want %v", r.Notification.Badge, tt.badge)
			}
		})
	}
}

func TestDecodeTakesWhatRealServersSend(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body string }{
		{"Synapse's full format", synapseBody},
		{"Dendrite: data is null, and so is a tweak", `{"notification":{"event_id":"$e","devices":[{"app_id":"a","pushkey":"k","data":null,"tweaks":{"highlight":null}}]}}`},
		{"Construct: milliseconds, and data with its url", `{"notification":{"event_id":"$e","devices":[{"app_id":"a","pushkey":"k","pushkey_ts":1700000000123,"data":{"url":"https://x"}}]}}`},
		{"ruma: no prio, counts, pushkey_ts, data or tweaks", `{"notification":{"event_id":"$e","room_id":"!r","devices":[{"app_id":"a","pushkey":"k"}]}}`},
		{"Beeper: keys that nobody knows, at every level", `{"x":1,"notification":{"com.beeper.ttl":5,"counts":{"unread":1,"com.beeper.x":"y"},"devices":[{"app_id":"a","pushkey":"k","x":{}}]}}`},
		{"no devices", `{"notification":{"devices":[]}}`},
		{"no devices in the end", `{"notification":{"devices":[{}],"devices":null,"devices":[]}}`},
		{"data and tweaks of the wrong shape concern one device only", `{"notification":{"devices":[{"app_id":"a","pushkey":"k","data":"x","tweaks":[1]}]}}`},
		{"an unknown prio", `{"notification":{"prio":"urgent",` + oneDevice + `}}`},
		{"white space around it", " \r\n\t{\"notification\" : { " + oneDevice + " } }\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mustDecode(t, tt.body)
		})
	}
}

func TestNullIsAbsentInEveryOptionalField(t *testing.T) {
	t.Parallel()
	for _, field := range []string{
		"id", "event_id", "room_id", "type", "sender", "sender_display_name", "room_name", "room_alias", "membership",
		"user_is_target", "prio", "content", "counts", "ciphertext", "ephemeral", "mac",
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			with := mustDecode(t, fmt.Sprintf(`{"notification":{%q:null,%s}}`, field, oneDevice)).Notification
			without := mustDecode(t, `{"notification":{`+oneDevice+`}}`).Notification
			with.Body, without.Body = nil, nil
			if got, want := fmt.Sprint(*with), fmt.Sprint(*without); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	for _, field := range []string{"pushkey_ts", "data", "tweaks"} {
		t.Run("a device's "+field, func(t *testing.T) {
			t.Parallel()
			d := mustDecode(t, fmt.Sprintf(`{"notification":{"devices":[{"app_id":"a","pushkey":"k",%q:null}]}}`, field)).Devices[0]
			if d.PushkeyTS != 0 || d.Data != nil || d.Tweaks != nil {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestEveryMemberArrives(t *testing.T) {
	t.Parallel()
	n := mustDecode(t, `{"notification":{"event_id":"$e","room_id":"!r","type":"t","sender":"@s","sender_display_name":"S",
		"room_name":"R","room_alias":"#r","membership":"invite","user_is_target":true,"prio":"low","content":{"body":"b"},
		"counts":{"unread":1,"missed_calls":2},"ciphertext":"c","ephemeral":"e","mac":"m",`+oneDevice+`}}`).Notification
	got := []string{n.EventID, n.RoomID, n.Type, n.Sender, n.SenderDisplayName, n.RoomName, n.RoomAlias, n.Membership, n.Prio.String(), string(n.Content), n.Encrypted.Ciphertext, n.Encrypted.Ephemeral, n.Encrypted.MAC}
	want := []string{"$e", "!r", "t", "@s", "S", "R", "#r", "invite", "low", `{"body":"b"}`, "c", "e", "m"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !n.UserIsTarget || *n.Counts.Unread != 1 || *n.Counts.MissedCalls != 2 {
		t.Errorf("got user_is_target %v and counts %d, %d", n.UserIsTarget, *n.Counts.Unread, *n.Counts.MissedCalls)
	}
}

func TestTheSeedsIdStandsForEventID(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, members, want string }{
		{"in its place", `"id":"$e"`, "$e"},
		{"not over it", `"id":"$other","event_id":"$e"`, "$e"},
		{"not if it is not an event's", `"id":"e"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := mustDecode(t, `{"notification":{`+tt.members+`,`+oneDevice+`}}`).Notification.EventID; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCountsMayBeAnyWholeNumber(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, unread string
		want         int64
	}{
		{"zero is a number and not absent", "0", 0},
		{"one more than 16 bits (hedwig)", "65536", 65536},
		{"70000 (hedwig)", "70000", 70000},
		{"an integral float", "2.0", 2},
		{"an exponent", "1e3", 1000},
		{"more than 64 bits", "1e30", math.MaxInt64},
		{"more digits than 64 bits", "99999999999999999999", math.MaxInt64},
		{"more than a float", "1e999", math.MaxInt64},
		{"a negative one is 0 unread", "-1", 0},
		{"a very negative one too", "-1e999", 0},
		{"negative zero", "-0.0", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := mustDecode(t, `{"notification":{"counts":{"unread":`+tt.unread+`},`+oneDevice+`}}`).Notification
			if n.Counts.Unread == nil || *n.Counts.Unread != tt.want || n.Counts.MissedCalls != nil {
				t.Errorf("got %v, want only unread %d", n.Counts, tt.want)
			}
		})
	}
	if n := mustDecode(t, `{"notification":{"counts":{"unread":null},`+oneDevice+`}}`).Notification; n.Counts.Unread != nil {
		t.Error("a null count is a number")
	}
}

func TestPushkeyTSIsReadInSecondsOrMilliseconds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, ts string
		want     int64
	}{
		{"seconds, by the specification", "1700000000", 1700000000000},
		{"seconds as a float", "1700000000.0", 1700000000000},
		{"milliseconds (Construct)", "1700000000123", 1700000000123},
		{"the last second", "100000000000", 100000000000000},
		{"the first millisecond", "100000000001", 100000000001},
		{"none", "0", 0},
		{"a negative one counts as absent", "-5", 0},
		{"a senseless one", "1e30", math.MaxInt64},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := mustDecode(t, `{"notification":{"devices":[{"app_id":"a","pushkey":"k","pushkey_ts":`+tt.ts+`}]}}`)
			if got := r.Devices[0].PushkeyTS; got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestARequestThatIsWrongNamesTheField(t *testing.T) {
	t.Parallel()
	const app = `"app_id":"a","pushkey":"k"`
	tests := []struct{ name, body, code, message string }{
		{"no body", ``, "M_NOT_JSON", "the body is not valid JSON"},
		{"no JSON", `hello`, "M_NOT_JSON", "the body is not valid JSON"},
		{"half of it", `{"notification":{`, "M_NOT_JSON", "the body is not valid JSON"},
		{"something behind it", `{"notification":{"devices":[]}} x`, "M_NOT_JSON", "the body is not valid JSON"},
		{"a second value behind it", `{"notification":{"devices":[]}}{}`, "M_NOT_JSON", "the body is not valid JSON"},
		{"invalid UTF-8 in a pushkey", "{\"notification\":{\"devices\":[{\"app_id\":\"a\",\"pushkey\":\"\xff\"}]}}", "M_NOT_JSON", "the body is not valid JSON"},
		{"nesting without an end", strings.Repeat(`{"a":`, 100_000), "M_NOT_JSON", "the body is not valid JSON"},
		{"deep nesting, closed", strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000), "M_NOT_JSON", "the body is not valid JSON"},
		{"broken behind a wrong shape", `{"notification":[]`, "M_NOT_JSON", "the body is not valid JSON"},

		{"null", `null`, "M_BAD_JSON", "notification is missing"},
		{"an array", `[]`, "M_BAD_JSON", "the body cannot be an array"},
		{"a string", `"x"`, "M_BAD_JSON", "the body cannot be a string"},
		{"a number", `1`, "M_BAD_JSON", "the body cannot be a number"},
		{"no notification", `{}`, "M_BAD_JSON", "notification is missing"},
		{"a null notification", `{"notification":null}`, "M_BAD_JSON", "notification is missing"},
		{"a notification that is not an object", `{"notification":"x"}`, "M_BAD_JSON", "notification cannot be a string"},
		{"no devices", `{"notification":{}}`, "M_BAD_JSON", "notification.devices is missing"},
		{"null devices", `{"notification":{"devices":null}}`, "M_BAD_JSON", "notification.devices is missing"},
		{"devices that are null in the end", `{"notification":{"devices":[{` + app + `}],"devices":null}}`, "M_BAD_JSON", "notification.devices is missing"},
		{"a notification that is null in the end", `{"notification":{"devices":[{` + app + `}]},"notification":null}`, "M_BAD_JSON", "notification is missing"},
		{"devices that are not a list", `{"notification":{"devices":{}}}`, "M_BAD_JSON", "notification.devices cannot be an object"},
		{"a device that is not an object", `{"notification":{"devices":["x"]}}`, "M_BAD_JSON", "notification.devices[0] cannot be a string"},
		{"a null device", `{"notification":{"devices":[null]}}`, "M_BAD_JSON", "notification.devices[0].app_id is missing"},
		{"a device without app_id", `{"notification":{"devices":[{` + app + `},{"pushkey":"k"}]}}`, "M_BAD_JSON", "notification.devices[1].app_id is missing"},
		{"a device with an empty app_id", `{"notification":{"devices":[{"app_id":"","pushkey":"k"}]}}`, "M_BAD_JSON", "notification.devices[0].app_id is missing"},
		{"a device without pushkey", `{"notification":{"devices":[{"app_id":"a"}]}}`, "M_BAD_JSON", "notification.devices[0].pushkey is missing"},
		{"a device with a null pushkey", `{"notification":{"devices":[{"app_id":"a","pushkey":null}]}}`, "M_BAD_JSON", "notification.devices[0].pushkey is missing"},
		{"a pushkey that is a number", `{"notification":{"devices":[{"app_id":"a","pushkey":1}]}}`, "M_BAD_JSON", "notification.devices[0].pushkey cannot be a number"},
		{"a pushkey of the second device that is a number", `{"notification":{"devices":[{` + app + `},{"app_id":"a","pushkey":1}]}}`, "M_BAD_JSON", "notification.devices[1].pushkey cannot be a number"},
		{"a name in capitals", `{"Notification":{"devices":[]}}`, "M_BAD_JSON", "notification is missing"},
		{"an app_id that is an object", `{"notification":{"devices":[{"app_id":{},"pushkey":"k"}]}}`, "M_BAD_JSON", "notification.devices[0].app_id cannot be an object"},
		{"a pushkey_ts that is a string", `{"notification":{"devices":[{` + app + `,"pushkey_ts":"1"}]}}`, "M_BAD_JSON", "notification.devices[0].pushkey_ts cannot be a string"},
		{"content that is not an object", `{"notification":{"content":"x","devices":[]}}`, "M_BAD_JSON", "notification.content is not an object"},
		{"content that is a list", `{"notification":{"content":[],"devices":[]}}`, "M_BAD_JSON", "notification.content is not an object"},
		{"counts that are not an object", `{"notification":{"counts":[],"devices":[]}}`, "M_BAD_JSON", "notification.counts cannot be an array"},
		{"a count that is a string", `{"notification":{"counts":{"unread":"1"},"devices":[]}}`, "M_BAD_JSON", "notification.counts.unread cannot be a string"},
		{"a count that is a fraction", `{"notification":{"counts":{"missed_calls":1.5},"devices":[]}}`, "M_BAD_JSON", "notification.counts.missed_calls cannot be a fraction"},
		{"a count that is true", `{"notification":{"counts":{"unread":true},"devices":[]}}`, "M_BAD_JSON", "notification.counts.unread cannot be a boolean"},
		{"a count that is an object", `{"notification":{"counts":{"unread":{}},"devices":[]}}`, "M_BAD_JSON", "notification.counts.unread cannot be an object"},
		{"an event_id that is a number", `{"notification":{"event_id":1,"devices":[]}}`, "M_BAD_JSON", "notification.event_id cannot be a number"},
		{"a prio that is true", `{"notification":{"prio":true,"devices":[]}}`, "M_BAD_JSON", "notification.prio cannot be a boolean"},
		{"a user_is_target that is a string", `{"notification":{"user_is_target":"yes","devices":[]}}`, "M_BAD_JSON", "notification.user_is_target cannot be a string"},
		{"one device too many", `{"notification":{"devices":[{` + app + `},{` + app + `},{` + app + `},{` + app + `}]}}`, "M_BAD_JSON", "notification.devices has more than 3 entries"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Decode([]byte(tt.body), 3)
			if err == nil || err.Status != 400 || err.Code != tt.code || err.Message != tt.message {
				t.Errorf("got %v, want 400 %s: %s", err, tt.code, tt.message)
			}
		})
	}
}

func TestADeviceThatARequestNamesTwice(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, a, b string
		want       int
	}{
		{"is one device", `"pushkey":"k"`, `"pushkey":"k"`, 1},
		{"is one however it is spelt", `"pushkey":"k"`, `"pushkey":"\u006b"`, 1},
		{"is one whether its data are empty or null", `"pushkey":"k","data":{}`, `"pushkey":"k","data":null`, 1},
		{"is two if the data tell two accounts apart", `"pushkey":"k","data":{"a":1}`, `"pushkey":"k","data":{"a":2}`, 2},
		{"is two if it registered twice", `"pushkey":"k","pushkey_ts":1`, `"pushkey":"k","pushkey_ts":2`, 2},
		{"is two under two app_ids", `"pushkey":"k"`, `"app_id":"b","pushkey":"k"`, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := mustDecode(t, `{"notification":{"devices":[{"app_id":"a",`+tt.a+`},{"app_id":"a",`+tt.b+`}]}}`)
			if len(r.Devices) != tt.want {
				t.Errorf("got %d devices, want %d", len(r.Devices), tt.want)
			}
		})
	}
}

func TestTheMembersOfARequestThatNobodyKnowsAreKept(t *testing.T) {
	t.Parallel()
	members := mustDecode(t, `{"notification":{"com.beeper.ttl":5,"event_id":"$e",`+oneDevice+`}}`).Notification.Members()
	if string(members["com.beeper.ttl"]) != "5" || members["devices"] != nil {
		t.Errorf("got %s", members)
	}
}

func mustDecode(t testing.TB, body string) *Request {
	t.Helper()
	r, err := Decode([]byte(body), 100)
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return r
}

// synapseBody is a message in an ordinary room as Synapse sends it, some 800 bytes.
const synapseBody = `{"notification":{"content":{"body":"Shall we meet at the station at half past seven, or is that too early?","m.mentions":{"user_ids":["@bob:example.org"]},"msgtype":"m.text"},"counts":{"unread":4},"devices":[{"app_id":"org.example.app.ios.prod","data":{"default_payload":{"aps":{"alert":{"loc-args":[],"loc-key":"Notification"},"mutable-content":1}},"format":"full"},"pushkey":"VGhpcyBpcyBhIHRva2VuIG9mIDMyIGJ5dGVzLi4uLi4=","pushkey_ts":1700000000,"tweaks":{"highlight":false,"sound":"default"}}],"event_id":"$YUwQidLecoCBbTBfN9rTOFXwEjU1LJGtcDvmjtZBtlo","id":"$YUwQidLecoCBbTBfN9rTOFXwEjU1LJGtcDvmjtZBtlo","prio":"high","room_id":"!jEsUZKDJdhlrceRyVU:example.org","room_name":"Weekend walks","sender":"@alice:example.org","sender_display_name":"Alice","type":"m.room.message"}}`
