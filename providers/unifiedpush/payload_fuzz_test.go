package unifiedpush

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// FuzzBodies checks that no form of a request reveals another device, or a pushkey and keys, whatever the homeserver and the client sent.
// Each form must be JSON and smaller than the one before; those without the homeserver's own members must have the ids.
func FuzzBodies(f *testing.F) {
	for _, request := range corpus.Requests() {
		f.Add(request.Body, []byte(request.Device().Data), true, false)
		f.Add(request.Body, []byte(request.Device().Data), false, true)
	}
	for _, seed := range []string{
		`{"notification":{"devices":[{"pushkey":"secret"}],"Devices":[],"dev\u0069ces":1,"DEVICES":{}}}`,
		`{"notification":{"a":1},"notification":{"devices":[1],"content":{"devices":[2]}},"Notification":{"devices":[3]}}`,
		`{"notification":{"counts":{"unread":1},"Counts":2,"content":"\ud800","room_name":[[[]],{}],"x":1e999}}`,
		`{"notification":{"content":{"body":"` + strings.Repeat(`\ud83d\ude00é\u2028\n`, 300) + `","msgtype":"m.text","x":"` +
			strings.Repeat("x", 4000) + `"}}}`,
		`{"notification":{"room_name":"` + strings.Repeat("x", 5000) + `","content":{"body":"b","msgtype":7,"m.relates_to":{}}}}`,
		`{"notification":{"x":"` + strings.Repeat("x", 5000) + `","content":{"m.relates_to":{"key":"k"}}}}`,
	} {
		const data = `{"client_name":"c","default_payload":{"user_id":"@u:x","auth":"s"},"AUTH":"s","x":[{"endpoint":1}]}`
		f.Add([]byte(seed), []byte(data), false, true)
		f.Add([]byte(seed), []byte(`{"client_name":"\ud800","default_payload":[],"keys":{"x":1e999},"x":1e999}`), true, false)
	}
	f.Fuzz(func(t *testing.T, request, data []byte, counted, encrypted bool) {
		if !utf8.Valid(request) || !json.Valid(request) || !utf8.Valid(data) || !json.Valid(data) {
			t.Skip() // not a request
		}
		n := &providers.Notification{EventID: "$event", RoomID: "!room", Body: request}
		if counted {
			n.Counts.Unread = new(int64(2))
		}
		d := &providers.Device{AppID: "org.example", Pushkey: "https://push.example/the-push-key", Data: data}
		for _, n := range []*providers.Notification{n, n.Reduced(), new(Provider).Reduce(n)} {
			checkForms(t, n, d, slices.Collect(bodies(n, n.Members(), d, encrypted)), counted, encrypted)
		}
	})
}

func checkForms(t *testing.T, n *providers.Notification, d *providers.Device, forms [][]byte, counted, encrypted bool) {
	for i, form := range forms {
		var message map[string]map[string]json.RawMessage
		if err := json.Unmarshal(form, &message); err != nil || !utf8.Valid(form) || len(message) != 1 {
			t.Fatalf("%v in %s", err, form)
		}
		for name, value := range message["notification"] {
			switch {
			case name == "devices":
				wantOneDevice(t, value, d, encrypted || isFull(n, n.Members()))
			case strings.EqualFold(name, "devices") || strings.EqualFold(name, "counts") && !counted:
				t.Errorf("%s gets %s", n.Body, form)
			}
		}
		if i > 0 && len(form) > limit(encrypted) && i < len(forms)-1 && len(form) > len(forms[i-1]) {
			t.Errorf("%s is not smaller than %s", form, forms[i-1])
		}
	}
	var last struct {
		Notification struct {
			EventID string `json:"event_id"`
			RoomID  string `json:"room_id"`
		}
	}
	err := json.Unmarshal(forms[len(forms)-1], &last)
	if err != nil || last.Notification.EventID != n.EventID || last.Notification.RoomID != n.RoomID {
		t.Errorf("the last form is %s", forms[len(forms)-1])
	}
}

// wantOneDevice checks that a list has one device without secrets, and only its account unless everything may leave.
func wantOneDevice(t *testing.T, list json.RawMessage, d *providers.Device, all bool) {
	var devices []struct {
		AppID string                     `json:"app_id"`
		Data  map[string]json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(list, &devices); err != nil || len(devices) != 1 || devices[0].AppID != d.AppID {
		t.Fatalf("the devices are %s", list)
	}
	for name, value := range devices[0].Data {
		if slices.ContainsFunc(secret, func(s string) bool { return strings.EqualFold(name, s) }) {
			t.Errorf("%s has %s", list, name)
		}
		for _, s := range secret {
			if bytes.Contains(value, []byte(`"`+s+`":`)) && !bytes.Contains(value, []byte(`\"`)) {
				t.Errorf("%s has %s", list, s)
			}
		}
		if !all && name != "client_name" && name != "default_payload" {
			t.Errorf("%s has %s", list, name)
		}
	}
	if defaults := devices[0].Data["default_payload"]; !all && defaults != nil {
		var members map[string]string
		if json.Unmarshal(defaults, &members) != nil || len(members) != 1 || members["user_id"] == "" {
			t.Errorf("%s has more than a user_id", list)
		}
	}
}

// FuzzSubscriptionKeys checks that nothing is sent in the clear to a client that gave any part of its keys.
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
			t.Skip() // the decoder passes nothing else
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
