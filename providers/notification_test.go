package providers

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func number(n int64) *int64 { return &n }

func TestMembersAreThoseThatTheHomeserverSent(t *testing.T) {
	t.Parallel()
	counted, uncounted := Counts{Unread: number(1)}, Counts{}
	tests := []struct {
		name   string
		body   string
		counts Counts
		want   string
	}{
		{"also those that nobody knows", `{"notification":{"event_id":"$e","com.example":{"x":1}}}`, counted, "com.example event_id"},
		{"not the devices", `{"notification":{"event_id":"$e","devices":[{}]}}`, counted, "event_id"},
		{"not the devices by any name that decodes as theirs", `{"notification":{"event_id":"$e","Devices":[],"DEVICES":[],"device\u017f":[]}}`, counted, "event_id"},
		{"not those of an object that was not read", `{"notification":{"event_id":"$e"},"Notification":{"sender":"@s"}}`, counted, "event_id"},
		{"the counts", `{"notification":{"event_id":"$e","counts":{"unread":1}}}`, counted, "counts event_id"},
		{"not the counts where the device wants none", `{"notification":{"event_id":"$e","counts":{"unread":1},"Counts":{}}}`, uncounted, "event_id"},
		{"those of a notification that comes twice", `{"notification":{"event_id":"$e"},"notification":{"room_id":"!r"}}`, counted, "event_id room_id"},
		{"those behind a null", `{"notification":{"event_id":"$e"},"notification":null,"notification":{"room_id":"!r"}}`, counted, "room_id"},
		{"an escaped name", `{"\u006eotification":{"event_\u0069d":"$e","\u0064evices":[]}}`, counted, "event_id"},
		{"half of a surrogate pair", `{"notification":{"\ud800":"\udfff"},"\ud800":1}`, counted, "\uFFFD"},
		{"a number that no float64 can be", `{"notification":{"com.example":1e999},"x":1e999}`, counted, "com.example"},
		{"none of what goes on behind its end", `{"notification":{"event_id":"$e"}} {}`, counted, ""},
		{"none of what is not JSON", `{"notification":{"event_id":"$e"},}`, counted, ""},
		{"none of what is cut off", `{"notification":{"event_id":"$e"}`, counted, ""},
		{"none if it is not an object", `{"notification":["event_id"]}`, counted, ""},
		{"none if it is null", `{"notification":null}`, counted, ""},
		{"none if the content policy reduced it", ``, counted, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := &Notification{Counts: tt.counts}
			if tt.body != "" {
				n.Body = json.RawMessage(tt.body)
			}
			got := slices.Sorted(maps.Keys(n.Members()))
			if fmt.Sprint(got) != "["+tt.want+"]" {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tt.body == "" && n.Members() != nil {
				t.Error("they are not nil")
			}
		})
	}
}

func TestOfAMemberThatComesTwiceTheLastCounts(t *testing.T) {
	t.Parallel()
	n := &Notification{Body: json.RawMessage(`{"notification":{"a":1,"a":null,"b":{"c":1},"A":0},"notification":{"b": [ 2 ]}}`)}
	if got := fmt.Sprintf("%s", n.Members()); got != "map[A:0 a:null b:[ 2 ]]" {
		t.Errorf("got %s", got)
	}
}

func TestANotificationOfNothingHasMembersWhereNoneHasNone(t *testing.T) {
	t.Parallel()
	for body, none := range map[string]bool{
		`{"notification":{}}`: false, `{"notification":{"devices":[{}]}}`: false,
		`{"notification":null}`: true, `{}`: true, `null`: true, `[]`: true, `"notification"`: true, `{"notification":1}`: true, ``: true,
	} {
		if got := (&Notification{Body: json.RawMessage(body)}).Members(); (got == nil) != none || len(got) > 0 {
			t.Errorf("%s: got %v", body, got)
		}
	}
}

func TestTheCallerMayChangeTheMembers(t *testing.T) {
	t.Parallel()
	n := &Notification{Body: json.RawMessage(`{"notification":{"a":1}}`)}
	clear(n.Members())
	if len(n.Members()) != 1 {
		t.Error("a change shows in what the next caller gets")
	}
}

func TestWhatIsKeptForOneDeviceHasNoOtherInIt(t *testing.T) {
	t.Parallel()
	n := &Notification{EventID: "$e", Body: json.RawMessage(`{"notification":{"event_id":"$e","com.example":1,"devices":[{"pushkey":"another"}]}}`)}
	alone := n.Alone()
	if strings.Contains(string(alone.Body), "another") {
		t.Errorf("it has: %s", alone.Body)
	}
	if got := slices.Sorted(maps.Keys(alone.Members())); fmt.Sprint(got) != "[com.example event_id]" || alone.EventID != "$e" {
		t.Errorf("it lost something else: %s", alone.Body)
	}
	if !strings.Contains(string(n.Body), "another") {
		t.Error("the notification itself was changed")
	}
	if reduced := n.Reduced(); reduced.Alone() != reduced {
		t.Error("a reduced notification has no body to clear")
	}
}

// whole returns a notification with every field set.
func whole() *Notification {
	return &Notification{
		EventID: "$e", RoomID: "!r", Type: "t", Sender: "@s", SenderDisplayName: "S", RoomName: "R", RoomAlias: "#r", Membership: "join",
		UserIsTarget: true, Prio: PrioLow, Counts: Counts{Unread: number(1), MissedCalls: number(2)}, Content: json.RawMessage(`{"a":1}`),
		Encrypted: Encrypted{"c", "e", "m"}, Badge: true, Wake: true, Body: json.RawMessage(`{"notification":{}}`),
		Prepared: json.RawMessage(`{"p":1}`),
	}
}

func TestTheWholeNotificationHasEveryField(t *testing.T) {
	t.Parallel()
	v := reflect.ValueOf(*whole())
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() && v.Field(i).IsZero() {
			t.Errorf("%s is not set: the tests below prove nothing about it", v.Type().Field(i).Name)
		}
	}
}

func TestReducedLeavesIDsCountsPriorityAndWhatIsEncrypted(t *testing.T) {
	t.Parallel()
	n := whole()
	want := &Notification{EventID: "$e", RoomID: "!r", Prio: PrioLow, Counts: n.Counts, Encrypted: n.Encrypted, Badge: true, Wake: true}
	if got := n.Reduced(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !reflect.DeepEqual(n.Content, whole().Content) {
		t.Error("the notification itself changed")
	}
}

func TestWithoutCountsLeavesAllTheRest(t *testing.T) {
	t.Parallel()
	n, want := whole(), whole()
	want.Counts = Counts{}
	if got := n.WithoutCounts(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n.Counts.Unread == nil {
		t.Error("the notification itself changed")
	}
}

func TestAPushIsTheSameAfterTheOutboxKeptIt(t *testing.T) {
	t.Parallel()
	expires := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name string
		n    *Notification
		d    *Device
	}{
		{"with everything", whole(), &Device{"a", "k", 1, json.RawMessage(`{"d":1}`), json.RawMessage(`{"t":1}`), "c"}},
		{"with nothing: nil stays nil", &Notification{}, &Device{AppID: "a", Pushkey: "k"}},
		{"with a zero for a badge", &Notification{Counts: Counts{Unread: number(0)}}, &Device{AppID: "a", Pushkey: "k"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &Push{Notification: tt.n, Device: tt.d, ID: "id", Expires: expires, Site: Site{"push.example.org", "443", "8443", "198.51.100.7"}}
			b, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			got := new(Push)
			if err := json.Unmarshal(b, got); err != nil || !reflect.DeepEqual(got, p) {
				t.Errorf("got %+v of %s: %v", got, b, err)
			}
		})
	}
}

func TestATTLIsInWholeSecondsAndNeverNegative(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	tests := []struct {
		name string
		left time.Duration
		want int
	}{
		{"a day", 24 * time.Hour, 86400},
		{"what is left of a second is cut off", 1999 * time.Millisecond, 1},
		{"now", 0, 0},
		{"over", -time.Hour, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := (&Push{Expires: now.Add(tt.left)}).TTL(now); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestPrioritiesHaveTheProtocolsNames(t *testing.T) {
	t.Parallel()
	if PrioHigh.String() != "high" || PrioLow.String() != "low" {
		t.Errorf("got %s and %s", PrioHigh, PrioLow)
	}
}

func TestTheMembersAreDecodedOnceForAllThatShareThem(t *testing.T) {
	t.Parallel()
	n := &Notification{Counts: Counts{Unread: number(1)}, Body: json.RawMessage(`{"notification":{"a":1,"counts":{},"devices":[1]}}`)}
	n.ShareMembers()
	uncounted := n.WithoutCounts()
	n.Members()["a"] = json.RawMessage(`2`) // forbidden, but it shows who shares the map
	if got := fmt.Sprintf("%s %s %s", n.Members(), uncounted.Members(), n.Alone().Members()); got != "map[a:2 counts:{}] map[a:2] map[a:2 counts:{}]" {
		t.Errorf("they have %s", got)
	}
}

func TestTheBodyIsDecodedAsTheGatewayAsksFor(t *testing.T) {
	t.Parallel()
	calls := 0
	n := &Notification{Counts: Counts{Unread: number(1)}, Body: json.RawMessage(`{"notification":{"a":1}}`)}
	n.DecodeBy(func(body json.RawMessage) map[string]json.RawMessage {
		calls++
		return map[string]json.RawMessage{"body": body, "counts": nil, "devices": nil, "DEVICES": nil}
	})
	n.ShareMembers()
	if got := fmt.Sprintf("%s %s", n.Members(), n.WithoutCounts().Members()); calls != 1 ||
		got != `map[body:{"notification":{"a":1}} counts:] map[body:{"notification":{"a":1}}]` {
		t.Errorf("got %s by %d calls", got, calls)
	}
	if n.Reduced().Members() != nil || n.WithoutBody().Members() != nil || calls != 1 {
		t.Errorf("%d calls for what has no body", calls)
	}
}

func TestWhatIsKeptIsBoundedAndKeepsTheIDs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 20_000)
	object := json.RawMessage(`{"a":"` + long + `"}`)
	body := json.RawMessage(`{"notification":{"event_id":"$e","a":"` + long + `"}}`)
	small := &Notification{EventID: "$e", RoomID: "!r", Content: json.RawMessage(`{"b": "<&\u003c>"}`), Body: json.RawMessage(`{"notification":{"event_id":"$e","x":"<","devices":[{}]}}`)}
	tests := []struct {
		name string
		n    *Notification
		want string
	}{
		{
			"all of a small one, except other devices, as it was written", small,
			`"$e" "!r" "" {"b":"<&\u003c>"} {"notification":{"event_id":"$e","x":"<"}}`,
		},
		{
			"no body of many devices counts", &Notification{EventID: "$e", Body: json.RawMessage(`{"notification":{"event_id":"$e","devices":["` + long + `"]}}`)},
			`"$e" "" "" null {"notification":{"event_id":"$e"}}`,
		},
		{"no body that is too long", &Notification{EventID: "$e", Sender: "@s", Content: json.RawMessage(`{"b":1}`), Body: body}, `"$e" "" "@s" {"b":1} null`},
		{"no content that is too long", &Notification{EventID: "$e", Sender: "@s", Content: object, Body: body}, `"$e" "" "@s" null null`},
		{"nothing but ids if the texts are too long", &Notification{EventID: "$e", Sender: long, RoomName: "R"}, `"$e" "" "" null null`},
		{"nothing but ids if a text is longer as JSON", &Notification{EventID: "$e", Sender: strings.Repeat("\x01", 3000)}, `"$e" "" "" null null`},
		{"nothing but ids if what is encrypted is too long", &Notification{RoomID: "!r", Encrypted: Encrypted{MAC: long}}, `"" "!r" "" null null`},
		{"no id that is too long, and no part of it", &Notification{EventID: long, RoomID: "!r", Content: object}, `"" "!r" "" null null`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			kept := tt.n.Kept()
			if len(kept) > MaxKept {
				t.Errorf("%d bytes are kept", len(kept))
			}
			var got Notification
			if err := json.Unmarshal(kept, &got); err != nil {
				t.Fatal(err)
			}
			raw := func(r json.RawMessage) string {
				if r == nil {
					return "null"
				}
				return string(r)
			}
			if got := fmt.Sprintf("%q %q %q %s %s", got.EventID, got.RoomID, got.Sender, raw(got.Content), raw(got.Body)); got != tt.want {
				t.Errorf("got  %.200s\nwant %.200s", got, tt.want)
			}
		})
	}
}
