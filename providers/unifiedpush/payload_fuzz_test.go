package unifiedpush

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/corpus"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// FuzzBodies wants no form of a request to tell a device of another, whatever the homeserver sent, and each to be JSON; the ids are in
// those that are not the homeserver's own words.
func FuzzBodies(f *testing.F) {
	for _, request := range corpus.Requests() {
		f.Add(request.Body, true)
	}
	for _, seed := range []string{
		`{"notification":{"devices":[{"pushkey":"secret"}],"Devices":[],"dev\u0069ces":1,"DEVICES":{}}}`,
		`{"notification":{"a":1},"notification":{"devices":[1],"content":{"devices":[2]}},"Notification":{"devices":[3]}}`,
		`{"notification":{"counts":{"unread":1},"Counts":2,"content":"\ud800","room_name":[[[]]],"x":1e999}}`,
	} {
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, counted bool) {
		if !utf8.Valid(body) || !json.Valid(body) {
			t.Skip() // that is no request
		}
		n := &providers.Notification{EventID: "$event", RoomID: "!room", Body: body}
		if counted {
			n.Counts.Unread = new(int64(2))
		}
		forms := slices.Collect(bodies(n))
		for i, form := range forms {
			var message map[string]map[string]json.RawMessage
			if err := json.Unmarshal(form, &message); err != nil || !utf8.Valid(form) || len(message) != 1 {
				t.Fatalf("%v in %s", err, form)
			}
			for name := range message["notification"] {
				if strings.EqualFold(name, "devices") || strings.EqualFold(name, "counts") && !counted {
					t.Errorf("%s is told %s", body, form)
				}
			}
			if i > 0 && i < len(forms)-1 && len(form) > len(forms[i-1]) {
				t.Errorf("%s is no less than %s", form, forms[i-1])
			}
		}
		var last struct {
			Notification struct {
				EventID string `json:"event_id"`
				RoomID  string `json:"room_id"`
			}
		}
		if err := json.Unmarshal(forms[len(forms)-1], &last); err != nil || last.Notification.EventID != n.EventID || last.Notification.RoomID != n.RoomID {
			t.Errorf("the last form is %s", forms[len(forms)-1])
		}
	})
}

// FuzzSubscriptionKeys wants nothing to be sent in the clear to a client that gave any part of its keys.
func FuzzSubscriptionKeys(f *testing.F) {
	for _, request := range corpus.Requests() {
		f.Add(string(request.Device().Data))
	}
	const p256dh = `"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"` // RFC 8291 appendix A
	const auth = `"BTBZMqHH6r4Tts7J_aSIgg"`
	for _, seed := range []string{
		`{"p256dh":` + p256dh + `,"auth":` + auth + `}`, `{"keys":{"p256dh":` + p256dh + `,"auth":` + auth + `}}`, `{"p256dh":` + p256dh + `}`,
		`{"auth":` + auth + `,"keys":{}}`, `{"keys":{"auth":7}}`, `{"keys":[]}`, `{"p256dh":"","auth":"","keys":null}`,
		`{"p256dh":` + p256dh + `,"P256DH":"","auth":""}`, `{"keys":{"auth":` + auth + `},"Keys":{"auth":""}}`, `{"auth":` + auth + `,"auth":""}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		if !json.Valid([]byte(data)) || !strings.HasPrefix(strings.TrimSpace(data), "{") {
			t.Skip() // the decoder lets nothing else through
		}
		keys, err := subscriptionKeys(json.RawMessage(data))
		if keys != nil && err != nil {
			t.Fatalf("%s: keys, and %v", data, err)
		}
		var members map[string]any
		if json.Unmarshal([]byte(data), &members) != nil {
			return // a number that is beyond float64
		}
		nested, _ := members["keys"].(map[string]any)
		for _, value := range []any{members["p256dh"], members["auth"], nested["p256dh"], nested["auth"]} {
			if value != nil && value != "" && keys == nil && err == nil {
				t.Errorf("%s is sent in the clear", data)
			}
		}
		if err != nil && (strings.Contains(err.Error(), "BTBZ") || strings.Contains(err.Error(), "BCVx")) {
			t.Errorf("the error shows a key: %v", err)
		}
	})
}
