package webpush

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/lenient"
	"github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// FuzzBodies merges a default_payload into a notification, and checks each form for what no client may cause: another event's ids, invalid
// JSON, or a last form with more than the ids.
func FuzzBodies(f *testing.F) {
	for _, request := range corpus.Requests() {
		var body struct {
			Notification struct{ Content json.RawMessage }
		}
		if err := json.Unmarshal(request.Body, &body); err != nil {
			f.Fatal(err)
		}
		f.Add(string(request.Device().Data), string(body.Notification.Content))
	}
	for _, data := range []string{
		`{"default_payload":{"event_id":"$other","room_id":{},"unread":"many","content":1,"type":null,"session":"s","EVENT_ID":"$x"}}`,
		`{"default_payload":null}`, `{"default_payload":[]}`, `{"default_payload":{"":{"\ud800":1e999},"a":[[[[1e700]]]]},"default_payload":{"b":1}}`,
	} {
		f.Add(data, `{"body":7,"formatted_body":"<b>","ciphertext":["c"]}`)
		f.Add(data, `{"body":"\ud800","body":"b","ciphertext":"c"}`)
		f.Add(data, `{"body":"`+strings.Repeat(`\ud83d\ude00\u2028\n"`[:19], 300)+`","x":"`+strings.Repeat("x", 4000)+`"}`)
		f.Add(data, `{"msgtype":7,"membership":"invite","m.relates_to":{"key":"k"},"x":"`+strings.Repeat("x", 4000)+`"}`)
	}
	f.Fuzz(func(t *testing.T, data, content string) {
		if !isObject(content) || !utf8.ValidString(data) || !utf8.ValidString(content) || !json.Valid([]byte(data)) {
			t.Skip() // decoded as parts of a request, they are
		}
		var pusher pusherData
		_ = lenient.Unmarshal([]byte(data), &pusher)
		defaults := defaultsIn(pusher.DefaultPayload)
		n := alert()
		n.Content = json.RawMessage(content)
		forms := formsOf(n, defaults)
		for _, form := range forms {
			var members map[string]any
			d := json.NewDecoder(bytes.NewReader(form))
			d.UseNumber() // some are beyond float64
			if err := d.Decode(&members); err != nil || !json.Valid(form) || !utf8.Valid(form) {
				t.Fatalf("%v in %s", err, form)
			}
			if members["event_id"] != n.EventID || members["room_id"] != n.RoomID || members["unread"] != json.Number(strconv.FormatInt(*n.Counts.Unread, 10)) {
				t.Errorf("%s makes it %s", data, form)
			}
			if c, ok := members["content"].(map[string]any); ok && c["formatted_body"] != nil && len(trim(n.Content)) > 0 && len(forms) == 1 {
				t.Errorf("members that no client shows are in %s", form)
			}
		}
		for i, form := range forms {
			if i > 0 && len(form) >= len(forms[i-1]) {
				t.Errorf("%s is not smaller than %s", form, forms[i-1])
			}
		}
		d := &providers.Device{Data: json.RawMessage(data)}
		if reduced := sent(new(Provider).Reduce(n), d); reduced != sent(n, d) {
			t.Errorf("reduced, it is %s", reduced)
		}
		for _, m := range defaults {
			wantMember(t, forms[0], m.Name, m.Value)
		}
		var last map[string]any
		if err := json.Unmarshal(forms[len(forms)-1], &last); err != nil || len(last) > 4 {
			t.Errorf("the last form is %s", forms[len(forms)-1])
		}
	})
}

// wantMember checks that the message has a member of a default_payload unchanged, unless the message sets it.
func wantMember(t *testing.T, form []byte, name string, value json.RawMessage) {
	var members map[string]any
	var want any
	if json.Unmarshal(form, &members) != nil || json.Unmarshal(value, &want) != nil {
		return // a number that is beyond float64, which a browser can read as well as not
	}
	own := []string{
		"event_id", "room_id", "type", "sender", "sender_display_name", "room_name", "room_alias", "membership", "content", "unread",
		"missed_calls", "user_is_target",
	}
	if !slices.Contains(own, name) && !reflect.DeepEqual(members[name], want) {
		t.Errorf("%q is %v, want %v", name, members[name], want)
	}
}

func isObject(text string) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &object) == nil && object != nil
}
