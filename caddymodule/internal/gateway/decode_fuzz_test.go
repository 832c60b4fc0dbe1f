package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// FuzzDecode compares the decoder with encoding/json, and with the rules of a request in wantedShape.
func FuzzDecode(f *testing.F) {
	for _, request := range corpus.Requests() {
		f.Add(request.Body)
	}
	for _, seed := range []string{
		synapseBody, `{"notification":{"devices":[]}}`, `null`, `[]`, `{"notification":{"content":[],"devices":null}}`,
		`{"notification":{"devices":[{"app_id":"a","pushkey":"\ud800"},{"app_id":"a","pushkey":"\udfff","data":{}}]}}`,
		`{"notification":{"devices":[{"app_id":"a","pushkey":"\ud800","pushkey":null}]}}`,
		`{"notification":{"devices":[{"app_id":"\u0000","pushkey":"<&>\u2028\ufffd","pushkey_ts":1e30}]}}`,
		`{"notification":{"devices":[{"app_id":"a","pushkey":"\ud800"}],"devices":[{"app_id":"b"},{"pushkey":"\ud800\""}]}}`,
		`{"notification":{"counts":{"unread":2.0,"missed_calls":-1e400},"id":"$THIS_IS_A_FAKE_EVENT_ID","devices":[{"app_id":"a","pushkey":"k"}]}}`,
		`{"notification":{"Devices":[{}],"devices":[{"app_id":"a","APP_ID":1,"pushkey":"k","data":[],"tweaks":7}],"content":null,"x":{"y":[1e999]}}}`,
		`{"notification":{"devices":[{"app_id":"a","pushkey":"k","pushkey_ts":` + strings.Repeat("9", 400) + `}]}}`,
		`{"notification":{"content":` + strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100) + `,"devices":[]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		const maxDevices = 5
		r, e := Decode(body, maxDevices)
		compareDecoded(t, body, maxDevices, r, e)
		if e != nil {
			wantError(t, e)
			return
		}
		if len(r.Devices) > maxDevices {
			t.Errorf("%d devices", len(r.Devices))
		}
		for i := range r.Devices {
			d := &r.Devices[i]
			if d.AppID == "" || d.Pushkey == "" || d.PushkeyTS < 0 {
				t.Errorf("decoded %+v", d)
			}
			var echoed string
			if err := json.Unmarshal(r.pushkey(i), &echoed); err != nil || echoed != d.Pushkey {
				t.Errorf("pushkey %q is echoed as %s", d.Pushkey, r.pushkey(i))
			}
			wantStored(t, &providers.Push{ID: "1", Notification: r.Notification, Device: d})
		}
		wantRejectedBody(t, r)
	})
}

// compareDecoded wants the result of encoding/json, as far as the rules are the same: it uses the last of several members with the same
// name, and the decoder merges them.
func compareDecoded(t *testing.T, body []byte, maxDevices int, r *Request, e *Error) {
	if valid := utf8.Valid(body) && json.Valid(body) && !tooDeep(body); valid == (e != nil && e.Code == "M_NOT_JSON") {
		t.Fatalf("valid is %t, and it is answered %v", valid, e)
	}
	if e != nil && e.Code == "M_NOT_JSON" || namesTwice(body) {
		return
	}
	var request any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&request); err != nil {
		t.Fatal(err)
	}
	wrong := wantedShape(request, maxDevices)
	if (wrong == "") != (e == nil) {
		t.Fatalf("it is answered %v, but %q is wrong with it", e, wrong)
	}
	if e != nil {
		return
	}
	n := request.(map[string]any)["notification"].(map[string]any)
	text := func(name string) string {
		s, _ := n[name].(string)
		return s
	}
	got := r.Notification
	id := text("event_id")
	if id == "" && strings.HasPrefix(text("id"), "$") {
		id = text("id")
	}
	membership := text("membership")
	if content, _ := n["content"].(map[string]any); membership == "" && text("type") == "m.room.member" {
		membership, _ = content["membership"].(string)
	}
	for _, pair := range [][2]string{
		{got.EventID, id},
		{got.RoomID, text("room_id")},
		{got.Type, text("type")},
		{got.Sender, text("sender")},
		{got.SenderDisplayName, text("sender_display_name")},
		{got.RoomName, text("room_name")},
		{got.RoomAlias, text("room_alias")},
		{got.Membership, membership},
	} {
		if pair[0] != pair[1] {
			t.Errorf("decoded %q, want %q", pair[0], pair[1])
		}
	}
	var registered [][2]string
	for _, d := range n["devices"].([]any) {
		device := d.(map[string]any)
		pair := [2]string{device["app_id"].(string), device["pushkey"].(string)}
		registered = append(registered, pair)
		if !slices.ContainsFunc(r.Devices, func(d providers.Device) bool { return d.AppID == pair[0] && d.Pushkey == pair[1] }) {
			t.Errorf("%q is not among the devices", pair)
		}
	}
	for _, d := range r.Devices {
		if !slices.Contains(registered, [2]string{d.AppID, d.Pushkey}) {
			t.Errorf("%q was not sent", d.Pushkey)
		}
	}
}

// namesTwice reports whether an object has two members with the same name.
func namesTwice(body []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowInvalidUTF8(true))
	for {
		if _, err := d.ReadToken(); err != nil {
			return !errors.Is(err, io.EOF)
		}
	}
}

// wantedShape returns what is wrong with a request by the rules of the endpoint; empty if nothing is.
func wantedShape(request any, maxDevices int) string {
	object, ok := request.(map[string]any)
	if !ok {
		return "the request"
	}
	n, ok := object["notification"].(map[string]any)
	if !ok {
		return "notification"
	}
	for _, name := range []string{
		"id", "event_id", "room_id", "type", "sender", "sender_display_name", "room_name", "room_alias", "membership", "prio", "ciphertext",
		"ephemeral", "mac",
	} {
		if !is[string](n[name]) {
			return name
		}
	}
	counts, _ := n["counts"].(map[string]any)
	devices, ok := n["devices"].([]any)
	switch {
	case !is[bool](n["user_is_target"]), !is[map[string]any](n["content"]), !is[map[string]any](n["counts"]):
		return "user_is_target, content or counts"
	case !isWhole(counts["unread"]), !isWhole(counts["missed_calls"]):
		return "a count"
	case !ok, len(devices) > maxDevices:
		return "devices"
	}
	for _, d := range devices {
		device, _ := d.(map[string]any)
		appID, _ := device["app_id"].(string)
		pushkey, _ := device["pushkey"].(string)
		if appID == "" || pushkey == "" || !isWhole(device["pushkey_ts"]) {
			return "a device"
		}
	}
	return ""
}

// is reports whether a value has this type, or counts as absent.
func is[T any](v any) bool {
	_, ok := v.(T)
	return ok || v == nil
}

// isWhole reports whether a value is a number without a fraction, or counts as absent.
func isWhole(v any) bool {
	number, ok := v.(json.Number)
	if !ok {
		return v == nil
	}
	f, err := strconv.ParseFloat(number.String(), 64)
	return f == math.Trunc(f) && (err == nil || math.IsInf(f, 0))
}

// wantStored wants a push to come back from the outbox unchanged: a push that cannot be read there is lost.
func wantStored(t *testing.T, push *providers.Push) {
	alone := *push
	alone.Notification = push.Notification.Alone()
	stored, err := json.Marshal(&alone)
	if err != nil {
		t.Fatalf("%v of %+v", err, alone)
	}
	var back providers.Push
	if err := json.Unmarshal(stored, &back); err != nil || back.Device == nil || back.Notification == nil {
		t.Fatalf("%v in %s", err, stored)
	}
	if back.Device.AppID != push.Device.AppID || back.Device.Pushkey != push.Device.Pushkey || back.Device.PushkeyTS != push.Device.PushkeyTS ||
		back.Notification.EventID != push.Notification.EventID || back.Notification.Badge != push.Notification.Badge {
		t.Errorf("stored as %s", stored)
	}
	if bytes.Contains(back.Notification.Body, []byte(`"devices"`)) && back.Notification.Members()["devices"] != nil {
		t.Errorf("the devices are in %s", back.Notification.Body)
	}
	again, err := json.Marshal(&back)
	if err != nil || !bytes.Equal(again, stored) {
		t.Errorf("%s came back as %s, %v", stored, again, err)
	}
}

func wantError(t *testing.T, e *Error) {
	var body map[string]string
	if err := json.Unmarshal(Answer{Err: e}.Body(), &body); err != nil || len(body) != 2 || body["errcode"] == "" || body["error"] == "" {
		t.Errorf("the error's body is %v", body)
	}
	if e.Status != 400 || (e.Code != "M_NOT_JSON" && e.Code != "M_BAD_JSON") {
		t.Errorf("got %d %s", e.Status, e.Code)
	}
}

// wantRejectedBody wants the answer that rejects every device to be an object with the devices' pushkeys.
func wantRejectedBody(t *testing.T, r *Request) {
	deliveries := make([]delivery, len(r.Devices))
	for i := range deliveries {
		deliveries[i] = delivery{device: &r.Devices[i], decision: decide(providers.Unusable("", nil), circumstances{})}
	}
	var body struct{ Rejected []string }
	if err := json.Unmarshal(r.answer(deliveries).Body(), &body); err != nil || body.Rejected == nil {
		t.Fatalf("the answer is %s: %v", r.answer(deliveries).Body(), err)
	}
	for i := range r.Devices {
		if !slices.Contains(body.Rejected, r.Devices[i].Pushkey) {
			t.Errorf("%q is not in %q", r.Devices[i].Pushkey, body.Rejected)
		}
	}
}
