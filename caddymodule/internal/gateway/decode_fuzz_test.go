package gateway

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		synapseBody, `{"notification":{"devices":[]}}`, `null`, `[]`, `{"notification":{"content":[],"devices":null}}`,
		`{"notification":{"devices":[{"app_id":"a","pushkey":"\ud800"},{"app_id":"a","pushkey":"\udfff","data":{}}]}}`,
		`{"notification":{"devices":[{"app_id":"a","pushkey":"\ud800","pushkey":null}]}}`,
		`{"notification":{"devices":[{"app_id":"\u0000","pushkey":"<&>\u2028\ufffd","pushkey_ts":1e30}]}}`,
		`{"notification":{"devices":[{"app_id":"a","pushkey":"\ud800"}],"devices":[{"app_id":"b"},{"pushkey":"\ud800\""}]}}`,
		`{"notification":{"counts":{"unread":2.0,"missed_calls":-1e400},"id":"$THIS_IS_A_FAKE_EVENT_ID","devices":[{"app_id":"a","pushkey":"k"}]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		const maxDevices = 5
		r, e := Decode(body, maxDevices)
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
		}
		wantRejectedBody(t, r)
	})
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
