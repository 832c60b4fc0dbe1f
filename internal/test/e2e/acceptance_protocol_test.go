package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The protocol, A01 to A17 of docs/acceptance.md. The others are in acceptance_transport_test.go.

func TestA01_AFullFormatRequestIsDelivered(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	sub := s.service.Subscribe()
	wantBody(t, s.hs.notify(alert("$1", webPushDevice(sub))), nothingRejected)
	m, n := s.push(sub.Endpoint)
	if !m.Encrypted || !m.VAPID || m.Urgency != "high" || m.TTL <= 0 {
		t.Errorf("encrypted %t, VAPID %t, urgency %q, TTL %d", m.Encrypted, m.VAPID, m.Urgency, m.TTL)
	}
	if n["event_id"] != "$1" || n["room_id"] != "!room:hs.test" {
		t.Errorf("the push is %s", m.Body)
	}
}

func TestA02_AnEventIDOnlyRequestIsDelivered(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	up, sub := s.service.Endpoint("phone"), s.service.Subscribe()
	wantBody(t, s.hs.notify(compose(map[string]any{
		"event_id": "$1", "room_id": "!r:hs.test", "prio": "low", "counts": map[string]any{"unread": 0},
	}, []device{upDevice(up), webPushDevice(sub)})), nothingRejected)

	m, n := s.push(up)
	want := `map[counts:map[unread:0] event_id:$1 prio:low room_id:!r:hs.test]`
	if got := fmt.Sprint(n); got != want || m.Urgency != "low" {
		t.Errorf("the UnifiedPush push has urgency %s and is\n%s, want\n%s", m.Urgency, got, want)
	}
	m, n = s.push(sub.Endpoint)
	if _, ok := n["content"]; ok || n["event_id"] != "$1" || n["room_id"] != "!r:hs.test" || m.Urgency != "low" {
		t.Errorf("the WebPush push has urgency %s and is %s", m.Urgency, m.Body)
	}
}

func TestA03_TheAnswerIsAlwaysAList(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	wantsNoBadge := upDevice(s.service.Endpoint("counts-itself"))
	wantsNoBadge.Data = map[string]any{"org.matrix.msc4076.disable_badge_count": true}
	delivered := alert("$1", upDevice(s.service.Endpoint("phone")))
	for _, test := range []struct{ name, body string }{
		{"no devices", alert("$1")},
		{"a badge update that nobody wants", badge(1, wantsNoBadge)},
		{"delivered", delivered},
		{"delivered before", delivered},
	} {
		t.Run(test.name, func(t *testing.T) { wantBody(t, s.hs.notify(test.body), nothingRejected) })
	}
	wantBody(t, s.hs.notify(alert("$1", device{AppID: "unknown", Pushkey: "k"})), rejecting("k"))
}

func TestA04_WhatIsNotJSONIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	good := alert("$1", upDevice(endpoint))
	for _, test := range []struct{ name, body string }{
		{"nothing", ""},
		{"white space", " \n"},
		{"text", "hello"},
		{"a form", "notification=1"},
		{"cut off", good[:len(good)-1]},
		{"something after it", good + "x"},
		{"two objects", good + good},
		{"a byte that is not UTF-8", strings.Replace(good, "Alice", "Al\xffce", 1)},
		{"an invalid number", strings.Replace(good, `"unread":2`, `"unread":02`, 1)},
		{"nested too deeply", strings.Repeat("[", 100_000)},
	} {
		t.Run(test.name, func(t *testing.T) { wantError(t, s.hs.notify(test.body), http.StatusBadRequest, "M_NOT_JSON") })
	}
	s.pushes(endpoint, 0)
}

func TestA05_AWrongShapeIsRefusedAndTheFieldNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	good := `{"app_id":"org.example.up","pushkey":"` + endpoint + `"}`
	notification := func(members string) string {
		return `{"notification":{"event_id":"$1","devices":[` + good + `]` + members + `}}`
	}
	devices := func(other string) string {
		return `{"notification":{"event_id":"$1","devices":[` + good + `,` + other + `]}}`
	}
	for _, test := range []struct{ name, body, field string }{
		{"a list", `[]`, "the body"},
		{"a string", `"notification"`, "the body"},
		{"a number", `1`, "the body"},
		{"null", `null`, "notification"},
		{"no notification", `{}`, "notification"},
		{"notification null", `{"notification":null}`, "notification"},
		{"notification a list", `{"notification":[]}`, "notification"},
		{"notification a string", `{"notification":"x"}`, "notification"},
		{"no devices", `{"notification":{"event_id":"$1"}}`, "notification.devices"},
		{"devices null", `{"notification":{"devices":null}}`, "notification.devices"},
		{"devices an object", `{"notification":{"devices":` + good + `}}`, "notification.devices"},
		{"a device that is a string", devices(`"x"`), "notification.devices"},
		{"a device that is null", devices(`null`), "notification.devices[1].app_id"},
		{"no app_id", devices(`{"pushkey":"k"}`), "notification.devices[1].app_id"},
		{"an empty app_id", devices(`{"app_id":"","pushkey":"k"}`), "notification.devices[1].app_id"},
		{"app_id a number", devices(`{"app_id":1,"pushkey":"k"}`), "app_id"},
		{"no pushkey", devices(`{"app_id":"a"}`), "notification.devices[1].pushkey"},
		{"an empty pushkey", devices(`{"app_id":"a","pushkey":""}`), "notification.devices[1].pushkey"},
		{"pushkey an object", devices(`{"app_id":"a","pushkey":{}}`), "pushkey"},
		{"pushkey_ts a string", devices(`{"app_id":"a","pushkey":"k","pushkey_ts":"1"}`), "pushkey_ts"},
		{"event_id a number", notification(`,"event_id":1`), "event_id"},
		{"room_id a list", notification(`,"room_id":[]`), "room_id"},
		{"type a boolean", notification(`,"type":true`), "type"},
		{"prio a number", notification(`,"prio":10`), "prio"},
		{"counts a list", notification(`,"counts":[]`), "counts"},
		{"unread a string", notification(`,"counts":{"unread":"2"}`), "unread"},
		{"unread a fraction", notification(`,"counts":{"unread":1.5}`), "unread"},
		{"content a string", notification(`,"content":"x"`), "content"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := s.hs.notify(test.body)
			wantError(t, r, http.StatusBadRequest, "M_BAD_JSON")
			if !strings.Contains(r.Body, test.field) {
				t.Errorf("%s does not name %s", r.Body, test.field)
			}
		})
	}
	s.pushes(endpoint, 0)
}

func TestA06_ARequestWithoutDevicesIsNothingToDo(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	wantBody(t, s.hs.notify(`{"notification":{"devices":[]}}`), nothingRejected)
	wantBody(t, s.hs.notify(alert("$1")), nothingRejected)
}

func TestA07_AnUnknownPathIsUnrecognized(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push\nrespond next 202")
	endpoint := s.service.Endpoint("phone")
	base := strings.TrimSuffix(s.gateway.url(), "/_matrix/push/v1/notify")
	for _, path := range []string{
		"/_matrix/push/", "/_matrix/push/v1", "/_matrix/push/v1/", "/_matrix/push/v2/notify", "/_matrix/push/v1/notify/more",
		"/_matrix/push/v1/Notify", "/_matrix/push//v1/notify",
	} {
		t.Run(path, func(t *testing.T) {
			for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodPut} {
				r, err := s.hs.do(method, base+path, alert("$1", upDevice(endpoint)))
				if err != nil {
					t.Fatal(err)
				}
				wantError(t, r, http.StatusNotFound, "M_UNRECOGNIZED")
			}
		})
	}
	for _, path := range []string{"/", "/_matrix/push", "/_matrix/pusher", "/_matrix/client/versions", "/up/phone"} {
		t.Run("not ours "+path, func(t *testing.T) {
			r, err := s.hs.do(http.MethodPost, base+path, alert("$1", upDevice(endpoint)))
			if err != nil || r.Status != http.StatusAccepted || r.Body != "next" {
				t.Errorf("answered %d %s, %v", r.Status, r.Body, err)
			}
		})
	}
	s.pushes(endpoint, 0)
}

func TestA08_AnotherMethodIsNotAllowed(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, "NOTIFY"} {
		t.Run(method, func(t *testing.T) {
			r, err := s.hs.do(method, s.gateway.url(), alert("$1", upDevice(endpoint)))
			if err != nil {
				t.Fatal(err)
			}
			wantError(t, r, http.StatusMethodNotAllowed, "M_UNRECOGNIZED")
			if allow := r.Header.Get("Allow"); allow != "POST, GET, HEAD, OPTIONS" {
				t.Errorf("it allows %q", allow)
			}
		})
	}
	s.pushes(endpoint, 0)
}

func TestA09_GETSaysWhatTheSiteIsAGatewayFor(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	sites := []struct{ name, apps, document string }{
		{"everything", "", `map[gateway:matrix unifiedpush:map[application_server_key:KEY gateway:matrix] webpush:map[org.example.web:map[application_server_key:KEY]]]`},
		{"UnifiedPush alone", "org.example.up", `map[gateway:matrix unifiedpush:map[application_server_key:KEY gateway:matrix]]`},
		{"WebPush alone", "org.example.web", `map[webpush:map[org.example.web:map[application_server_key:KEY]]]`},
		{"neither", "org.example.silent", ``},
	}
	config := strings.Replace(head, "{global}", `matrix_push {
		app org.example.up {
			unifiedpush
		}
		app org.example.web {
			webpush {
				vapid_subject mailto:ops@example.org
			}
		}
		app org.example.silent {
			e2e_silent
		}
		rejected memory
	}`, 1)
	config += "https://gateway.test:{port} {\n" + certificate + "\n"
	for i, site := range sites {
		config += fmt.Sprintf("handle_path /site%d/* {\nmatrix_push {\n", i)
		if site.apps != "" {
			config += "apps " + site.apps + "\n"
		}
		config += "}\n}\n"
	}
	config += "}\n"
	p.start(config)
	hs := p.homeserver()
	for i, site := range sites {
		t.Run(site.name, func(t *testing.T) {
			r, err := hs.do(http.MethodGet, strings.Replace(p.url(), "/_matrix", fmt.Sprintf("/site%d/_matrix", i), 1), "")
			if err != nil {
				t.Fatal(err)
			}
			if site.document == "" {
				wantError(t, r, http.StatusMethodNotAllowed, "M_UNRECOGNIZED")
				return
			}
			if r.Status != http.StatusOK || r.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("answered %d, for %q", r.Status, r.Header.Get("Access-Control-Allow-Origin"))
			}
			var document map[string]any
			if err := json.Unmarshal([]byte(r.Body), &document); err != nil {
				t.Fatal(err)
			}
			key := hideKey(t, document)
			if got := fmt.Sprint(document); got != site.document {
				t.Errorf("the document is\n%s, want\n%s", got, site.document)
			}
			if raw, err := base64.RawURLEncoding.DecodeString(key); err != nil || len(raw) != 65 || raw[0] != 4 {
				t.Errorf("the key %q is not an uncompressed point", key)
			}
		})
	}
}

// hideKey replaces the application server key of a GET document by KEY, and returns it. The apps have the same, as nobody gave them
// another.
func hideKey(t *testing.T, document map[string]any) (key string) {
	t.Helper()
	apps, _ := document["webpush"].(map[string]any)
	members := append(slices.Collect(maps.Values(apps)), document["unifiedpush"])
	for _, member := range members {
		keys, ok := member.(map[string]any)
		if !ok {
			continue // there are no apps of this kind
		}
		found, _ := keys["application_server_key"].(string)
		if keys["application_server_key"] = "KEY"; key != "" && found != key {
			t.Errorf("there are the keys %q and %q", key, found)
		}
		key = found
	}
	return key
}

func TestA10_OPTIONSAndHEADHaveNoSideEffect(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	body := alert("$1", upDevice(endpoint))

	r, err := s.hs.do(http.MethodOptions, s.gateway.url(), body)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != http.StatusNoContent || r.Body != "" {
		t.Errorf("OPTIONS is answered %d %s", r.Status, r.Body)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":  "*",
		"Access-Control-Allow-Methods": "POST, GET, HEAD, OPTIONS",
		"Access-Control-Allow-Headers": "X-Requested-With, Content-Type, Authorization",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	get, err := s.hs.do(http.MethodGet, s.gateway.url(), body)
	if err != nil {
		t.Fatal(err)
	}
	head, err := s.hs.do(http.MethodHead, s.gateway.url(), "")
	if err != nil {
		t.Fatal(err)
	}
	if head.Status != http.StatusOK || head.Body != "" || head.Header.Get("Content-Length") != strconv.Itoa(len(get.Body)) {
		t.Errorf("HEAD is answered %d with %v, GET with %d bytes", head.Status, head.Header, len(get.Body))
	}
	s.pushes(endpoint, 0)
}

func TestA11_ABodyThatIsTooLargeIsRefusedWithoutReadingIt(t *testing.T) {
	t.Parallel()
	s := newScene(t, "max_body 1KiB", "matrix_push")
	p := s.gateway
	endless := fmt.Sprintf("%x\r\n%s\r\n", 1025, strings.Repeat(" ", 1025)) // without a last chunk
	for _, test := range []struct{ name, request string }{
		{"announced", p.post(p.port, "Content-Length: 1025")},
		{"announced to be enormous", p.post(p.port, "Content-Length: 1099511627776")},
		{"asked for", p.post(p.port, "Content-Length: 1025", "Expect: 100-continue")},
		{"without a length", p.post(p.port, "Transfer-Encoding: chunked") + endless},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, speak(t, p.port, true, test.request), http.StatusRequestEntityTooLarge, "M_TOO_LARGE")
		})
	}
	t.Run("over HTTP/2", func(t *testing.T) {
		body, neverWritten := io.Pipe()
		defer neverWritten.Close()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url(), body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 1025
		resp, err := p.client(true).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge || resp.ProtoMajor != 2 {
			t.Errorf("answered %s with %s", resp.Proto, resp.Status)
		}
	})
	endpoint := s.service.Endpoint("phone")
	body := alert("$1", upDevice(endpoint))
	wantBody(t, s.hs.notify(body+strings.Repeat(" ", 1024-len(body))), nothingRejected) // the largest that is allowed
	s.pushes(endpoint, 1)
}

func TestA12_TooManyDevicesAreRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t, "max_devices 3", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	several := func(n int) (devices []device) {
		for i := range n {
			d := upDevice(endpoint)
			d.Data = map[string]any{"account": i}
			devices = append(devices, d)
		}
		return devices
	}
	r := s.hs.notify(alert("$1", several(4)...))
	wantError(t, r, http.StatusBadRequest, "M_BAD_JSON")
	if !strings.Contains(r.Body, "notification.devices has more than 3 entries") {
		t.Errorf("%s does not say so", r.Body)
	}
	s.pushes(endpoint, 0)
	wantBody(t, s.hs.notify(alert("$1", several(3)...)), nothingRejected)
	s.pushes(endpoint, 3)
}

func TestA13_UnknownKeysAreIgnored(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint, sub := s.service.Endpoint("phone"), s.service.Subscribe()
	wantBody(t, s.hs.notify(`{"x":{"notification":1},"notification":{"event_id":"$1","com.beeper.ttl":3,"x":[{}],
		"counts":{"unread":1,"com.beeper.asrt_unread":7},"devices":[
		{"app_id":"org.example.up","pushkey":"`+endpoint+`","x":{"pushkey":2},"data":{"x":null},"tweaks":{"x":{}}},
		{"app_id":"org.example.web","pushkey":"`+sub.P256dh+`","data":{"endpoint":"`+sub.Endpoint+`","auth":"`+sub.Auth+`","x":[1]}}
	]}}`), nothingRejected)
	for _, path := range []string{endpoint, sub.Endpoint} {
		if _, n := s.push(path); n["event_id"] != "$1" {
			t.Errorf("the push is %v", n)
		}
	}
}

func TestA14_SynapsesBadgeUpdateIsNoAlert(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint, sub := s.service.Endpoint("phone"), s.service.Subscribe()
	wantBody(t, s.hs.notify(`{"notification":{"counts":{"unread":0},"devices":[
		{"app_id":"org.example.up","data":{},"pushkey":"`+endpoint+`","pushkey_ts":1700000000},
		{"app_id":"org.example.web","data":{"endpoint":"`+sub.Endpoint+`","auth":"`+sub.Auth+`"},"pushkey":"`+sub.P256dh+`","pushkey_ts":1700000000}
	],"id":"","sender":"","type":null}}`), nothingRejected)
	for _, path := range []string{endpoint, sub.Endpoint} {
		m, n := s.push(path)
		if m.Urgency != "low" || m.Topic == "" {
			t.Errorf("it has urgency %q and topic %q", m.Urgency, m.Topic)
		}
		for _, name := range []string{"event_id", "room_id", "type", "sender", "content"} {
			if v := n[name]; v != nil && v != "" {
				t.Errorf("it has %s %v", name, v)
			}
		}
		if unread := unreadOf(n); unread != 0.0 {
			t.Errorf("it counts %v in %s", unread, m.Body)
		}
	}
}

func TestA15_DendritesNullsAreAccepted(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	wantBody(t, s.hs.notify(`{"notification":{"content":{"body":"x","msgtype":"m.text"},"counts":{"unread":3},"event_id":"$1","id":"$1",
		"room_id":"!r:hs.test","room_name":"","sender":"@a:hs.test","type":"m.room.message","membership":null,"user_is_target":null,
		"devices":[{"app_id":"org.example.up","data":null,"pushkey":"`+endpoint+`","pushkey_ts":1700000000,
			"tweaks":{"highlight":null,"sound":"default"}}]}}`), nothingRejected)
	if _, n := s.push(endpoint); n["event_id"] != "$1" || unreadOf(n) != 3.0 {
		t.Errorf("the push is %v", n)
	}
	wantBody(t, s.hs.notify(`{"notification":{"event_id":"$2","room_id":null,"type":null,"sender":null,"sender_display_name":null,
		"room_name":null,"room_alias":null,"prio":null,"content":null,"counts":null,"id":null,
		"devices":[{"app_id":"org.example.up","pushkey":"`+endpoint+`","pushkey_ts":null,"data":null,"tweaks":null}]}}`), nothingRejected)
	s.pushes(endpoint, 2)
}

func TestA16_ConstructsMillisecondsAndURLAreAccepted(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	notify := func(event, ts string) reply {
		return s.hs.notify(`{"notification":{"event_id":"` + event + `","room_id":"!r:hs.test","sender":"@a:hs.test","type":"m.room.message",
			"prio":"high","counts":{"unread":1},"devices":[{"app_id":"org.example.up","pushkey":"` + endpoint + `","pushkey_ts":` + ts + `,
			"data":{"url":"` + s.gateway.url() + `","format":"event_id_only"}}]}}`)
	}
	wantBody(t, notify("$1", "1700000000123"), nothingRejected)
	s.pushes(endpoint, 1)

	// A verdict on a registration of that millisecond applies to the registration of that second, and not to a later one.
	s.service.Answer(endpoint, answerGone)
	wantBody(t, notify("$2", "1700000000123"), rejecting(endpoint))
	s.service.Answer(endpoint)
	wantBody(t, notify("$3", "1700000000"), rejecting(endpoint))
	wantBody(t, notify("$4", "1700000001"), nothingRejected)
	s.pushes(endpoint, 3)
}

func TestA17_RumasShortRequestIsAnUrgentAlert(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	endpoint := s.service.Endpoint("phone")
	wantBody(t, s.hs.notify(`{"notification":{"event_id":"$1","room_id":"!r:hs.test","devices":[
		{"app_id":"org.example.up","pushkey":"`+endpoint+`"}]}}`), nothingRejected)
	m, n := s.push(endpoint)
	if _, ok := n["counts"]; ok || m.Urgency != "high" || n["prio"] != "high" {
		t.Errorf("it has urgency %s and is %v", m.Urgency, n)
	}
}
