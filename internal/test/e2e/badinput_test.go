package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Bad input affects only its own device: the answer names it, nothing is sent for it, and the other devices of the request are served.

// offPoint is 65 bytes that look like a point, but are not one on the curve P-256.
var offPoint = "BA" + strings.Repeat("A", 85)

// badSubscriptions are changes to a device that make its subscription unusable.
var badSubscriptions = map[string]func(d *device, sub providertest.Subscription){
	"no endpoint":                    func(d *device, _ providertest.Subscription) { delete(d.Data, "endpoint") },
	"an endpoint of null":            func(d *device, _ providertest.Subscription) { d.Data["endpoint"] = nil },
	"an empty endpoint":              func(d *device, _ providertest.Subscription) { d.Data["endpoint"] = "" },
	"an endpoint that is a number":   func(d *device, _ providertest.Subscription) { d.Data["endpoint"] = 7 },
	"an endpoint that is an object":  func(d *device, s providertest.Subscription) { d.Data["endpoint"] = map[string]any{"url": s.Endpoint} },
	"an endpoint without a scheme":   func(d *device, s providertest.Subscription) { d.Data["endpoint"] = s.Path },
	"an endpoint over http":          func(d *device, s providertest.Subscription) { d.Data["endpoint"] = "http" + s.Endpoint[5:] },
	"an endpoint with user info":     func(d *device, s providertest.Subscription) { d.Data["endpoint"] = "https://u:p@" + s.Endpoint[8:] },
	"no auth":                        func(d *device, _ providertest.Subscription) { delete(d.Data, "auth") },
	"an auth of null":                func(d *device, _ providertest.Subscription) { d.Data["auth"] = nil },
	"an empty auth":                  func(d *device, _ providertest.Subscription) { d.Data["auth"] = "" },
	"an auth that is a boolean":      func(d *device, _ providertest.Subscription) { d.Data["auth"] = true },
	"an auth that is not base64":     func(d *device, _ providertest.Subscription) { d.Data["auth"] = "*" },
	"an auth of 15 bytes":            func(d *device, s providertest.Subscription) { d.Data["auth"] = s.Auth[:20] },
	"a p256dh that is not base64":    func(d *device, _ providertest.Subscription) { d.Pushkey = "ü" },
	"a p256dh cut short":             func(d *device, s providertest.Subscription) { d.Pushkey = s.P256dh[:84] },
	"a p256dh beside the curve":      func(d *device, _ providertest.Subscription) { d.Pushkey = offPoint },
	"a p256dh with a byte too many":  func(d *device, s providertest.Subscription) { d.Pushkey = s.P256dh + "AA" },
	"no data at all":                 func(d *device, _ providertest.Subscription) { d.Data = nil },
	"a subscription cut off":         func(d *device, s providertest.Subscription) { d.Pushkey = `{"endpoint":"` + s.Endpoint + `","keys":` },
	"a subscription without keys":    func(d *device, s providertest.Subscription) { d.Pushkey = `{"endpoint":"` + s.Endpoint + `"}` },
	"a subscription of another kind": func(d *device, _ providertest.Subscription) { d.Pushkey = `{"endpoint":{},"keys":[]}` },
	"an empty subscription":          func(d *device, _ providertest.Subscription) { d.Pushkey = `{}` },
	"a subscription with half its keys": func(d *device, s providertest.Subscription) {
		d.Pushkey = `{"endpoint":"` + s.Endpoint + `","keys":{"p256dh":"` + s.P256dh + `"}}`
	},
}

func TestAMalformedSubscriptionHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for i, name := range slices.Sorted(maps.Keys(badSubscriptions)) {
		sub, good, alsoGood := s.service.Subscribe(), s.service.Subscribe(), s.service.Endpoint(fmt.Sprint("good-", i))
		bad := webPushDevice(sub)
		badSubscriptions[name](&bad, sub)
		for _, event := range []string{"$1", "$2"} {
			r := s.hs.notify(alert(event, webPushDevice(good), bad, upDevice(alsoGood)))
			wantBody(t, r, rejecting(bad.Pushkey))
		}
		s.pushes(sub.Endpoint, 0)
		s.pushes(good.Endpoint, 2)
		s.pushes(alsoGood, 2)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestDataThatIsNoObjectHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	for i, data := range []string{`7`, `"data"`, `[]`, `true`} {
		sub, good := s.service.Subscribe(), s.service.Endpoint(fmt.Sprint("good-", i))
		body := `{"notification":{"event_id":"$1","room_id":"!r","devices":[
			{"app_id":"org.example.web","pushkey":"` + sub.P256dh + `","data":` + data + `},
			{"app_id":"org.example.up","pushkey":"` + good + `","data":` + data + `}]}}`
		wantBody(t, s.hs.notify(body), rejecting(sub.P256dh))
		s.pushes(sub.Endpoint, 0)
		s.pushes(good, 1)
	}
}

// A client that gave a part of its keys wants encryption, so nothing may leave in clear text.
func TestHalfEncryptedDataSendsNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	key := s.service.Subscribe()
	for i, data := range []map[string]any{
		{"p256dh": key.P256dh},
		{"auth": key.Auth},
		{"p256dh": key.P256dh, "auth": ""},
		{"p256dh": "", "auth": key.Auth},
		{"p256dh": key.P256dh, "auth": "*"},
		{"p256dh": "key", "auth": key.Auth},
		{"p256dh": offPoint, "auth": key.Auth},
		{"p256dh": key.P256dh, "auth": 7},
		{"p256dh": []string{key.P256dh}, "auth": key.Auth},
		{"keys": map[string]any{"p256dh": key.P256dh}},
		{"keys": map[string]any{"auth": key.Auth}},
		{"keys": key.P256dh},
		{"keys": []any{}},
		{"p256dh": key.P256dh, "keys": map[string]any{"auth": key.Auth}},
	} {
		bad, good := upDevice(s.service.Endpoint(fmt.Sprint("bad-", i))), upDevice(s.service.Endpoint(fmt.Sprint("good-", i)))
		bad.Data = data
		wantBody(t, s.hs.notify(alert("$1", bad, good)), rejecting(bad.Pushkey))
		s.pushes(bad.Pushkey, 0)
		s.pushes(good.Pushkey, 1)
		if t.Failed() {
			t.Fatal(data)
		}
	}
}

func TestAMalformedEndpointHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	target := s.service.Endpoint("bad")
	host := strings.TrimPrefix(s.service.Origin(), "https://")
	blocked := "https://10.0.0.1:8443/up/phone"
	for i, pushkey := range []string{
		"bad", "http://" + host + "/up/bad", "https://u@" + host + "/up/bad", "https://" + host + "99999/up/bad", "//" + host + "/up/bad",
		"\x00", strings.Repeat("x", 100_000), "https://" + strings.Repeat("%", 600), "\u202e" + target, target + "\n",
	} {
		good := s.service.Endpoint(fmt.Sprint("good-", i))
		r := s.hs.notify(alert("$1", upDevice(pushkey), upDevice(good), upDevice(blocked)))
		if r.Status != http.StatusOK || !slices.Equal(r.Rejected, []string{pushkey}) {
			t.Errorf("%.60q is answered %d %.100s", pushkey, r.Status, r.Body)
		}
		s.pushes(good, 1)
	}
	s.pushes(target, 0)
}

func TestABadRequestSendsNothingToItsGoodDevices(t *testing.T) {
	t.Parallel()
	s := newScene(t, "max_devices 3\nmax_body 4KiB", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	good := `{"app_id":"org.example.up","pushkey":"` + endpoint + `"}`
	tests := []struct {
		name, body string
		status     int
		code, says string
	}{
		{"cut off", `{"notification":{"event_id":"$1","devices":[` + good + `]}`, 400, "M_NOT_JSON", "JSON"},
		{"two values", `{"notification":{"event_id":"$1","devices":[` + good + `]}}{}`, 400, "M_NOT_JSON", "JSON"},
		{"not UTF-8", `{"notification":{"event_id":"$` + "\xff" + `","devices":[` + good + `]}}`, 400, "M_NOT_JSON", "JSON"},
		{"no pushkey", `{"notification":{"event_id":"$1","devices":[` + good + `,{"app_id":"a"}]}}`, 400, "M_BAD_JSON", "devices[1].pushkey"},
		{"an empty app_id", `{"notification":{"event_id":"$1","devices":[{"app_id":"","pushkey":"k"},` + good + `]}}`, 400, "M_BAD_JSON", "devices[0].app_id"},
		{"a pushkey that is a number", `{"notification":{"event_id":"$1","devices":[` + good + `,{"app_id":"a","pushkey":7}]}}`, 400, "M_BAD_JSON", "pushkey"},
		{"a content that is a list", `{"notification":{"event_id":"$1","content":[1],"devices":[` + good + `]}}`, 400, "M_BAD_JSON", "content"},
		{"an event_id that is a number", `{"notification":{"event_id":1,"devices":[` + good + `]}}`, 400, "M_BAD_JSON", "event_id"},
		{"too many devices", `{"notification":{"event_id":"$1","devices":[` + strings.Repeat(good+",", 3) + good + `]}}`, 400, "M_BAD_JSON", "devices"},
		{"too long", `{"notification":{"event_id":"$1","devices":[` + good + `]}}` + strings.Repeat(" ", 5000), 413, "M_TOO_LARGE", "bytes"},
	}
	for _, tt := range tests {
		r := s.hs.notify(tt.body)
		wantError(t, r, tt.status, tt.code)
		if !strings.Contains(r.Body, tt.says) || strings.Contains(r.Body, endpoint) {
			t.Errorf("%s: the error is %s", tt.name, r.Body)
		}
	}
	s.pushes(endpoint, 0)
	wantBody(t, s.hs.notify(`{"notification":{"event_id":"$1","devices":[`+good+`]}}`), nothingRejected)
	s.pushes(endpoint, 1)
}
