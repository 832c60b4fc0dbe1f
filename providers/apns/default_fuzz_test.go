package apns

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
)

// FuzzDefaultPayload merges a default_payload into a notification, and compares the result with its definition: every member as the client
// registered it, except the ids, the counts, and the members of the alert that the notification sets.
func FuzzDefaultPayload(f *testing.F) {
	for _, request := range corpus.Requests() {
		if d := defaultOf(request); d != nil {
			f.Add(string(d), 0)
			f.Add(string(d), 3900)
		}
	}
	for _, seed := range []string{
		`null`, `[]`, `{}`, `{"aps":null}`, `{"aps":{"alert":null}}`, `{"aps":{"alert":" "}}`, `{"aps":{"alert":{}}}`, `{"aps":{"alert":"\ud800"}}`,
		`{"room_id":"!other","event_id":{"a":1},"unread_count":"many","room_id":"!another"}`, `{"ROOM_ID":"!other","Event_Id":1,"\u0072oom_id":2}`,
		`{"aps":{"badge":1e999,"alert":"a"},"aps":{"alert":{"body":"b"}}}`, `{"x":[[[[[[1.0,12345678901234567890]]]]]],"":{"":null}}`,
	} {
		f.Add(seed, 0)
	}
	f.Fuzz(func(t *testing.T, defaults string, less int) {
		if !json.Valid([]byte(defaults)) || !utf8.ValidString(defaults) {
			t.Skip() // decoded as a part of a request, it is both
		}
		n := notice().Reduced()
		data := json.RawMessage(`{"default_payload":` + defaults + `}`)
		m, err := build(n, deviceWith(data), options{}, 1<<20)
		want := wantedDefault(t, defaults)
		if err != nil {
			t.Fatalf("%s: %v", defaults, err)
		}
		got := decode(t, m.payload)
		want["room_id"], want["event_id"] = n.RoomID, n.EventID
		want["unread_count"], want["missed_calls"] = json.Number("2"), json.Number("1")
		if m.background {
			want["aps"] = map[string]any{"content-available": json.Number("1")}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s becomes\n%s, want\n%v", defaults, m.payload, want)
		}
		wantSmaller(t, data, 200+int(uint(less)%4000))
	})
}

// wantSmaller checks that a payload of at most limit bytes still has the ids.
func wantSmaller(t *testing.T, data json.RawMessage, limit int) {
	n := notice().Reduced()
	m, err := build(n, deviceWith(data), options{threadRoom: true}, limit)
	if err != nil || len(m.payload) > limit || !utf8.Valid(m.payload) {
		t.Fatalf("%d bytes of %d, %v: %s", len(m.payload), limit, err, m.payload)
	}
	if got := decode(t, m.payload); got["room_id"] != n.RoomID || got["event_id"] != n.EventID {
		t.Errorf("the ids are not in %s", m.payload)
	}
}

// wantedDefault returns the valid members of a default_payload.
func wantedDefault(t *testing.T, defaults string) map[string]any {
	var value any
	if err := json.Unmarshal([]byte(defaults), &value); err != nil && !errors.As(err, new(*json.UnmarshalTypeError)) {
		t.Fatal(err)
	}
	members := map[string]any{}
	if _, ok := value.(map[string]any); ok {
		members = decode(t, []byte(defaults))
	}
	aps, ok := members["aps"].(map[string]any)
	if !ok {
		aps = map[string]any{}
	}
	switch aps["alert"].(type) {
	case map[string]any, string:
	default:
		delete(aps, "alert")
	}
	members["aps"] = aps
	return members
}

// defaultOf returns the default_payload of a request; nil if it has none.
func defaultOf(r corpus.Request) json.RawMessage {
	var data struct {
		Default json.RawMessage `json:"default_payload"`
	}
	_ = json.Unmarshal(slices.Clone(r.Device().Data), &data)
	return data.Default
}
