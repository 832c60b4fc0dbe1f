package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// UnifiedPush, U01 to U06 of docs/acceptance.md.

func TestU01_TheBodyIsTheNotificationWithoutItsDevices(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory\n"+service.moreUp("org.example.full", "content full")), "matrix_push")
	s := scene{t, service, gateway, gateway.homeserver()}
	ids := []string{"counts", "event_id", "prio", "room_id"}
	whole := []string{
		"content", "counts", "event_id", "id", "prio", "room_id", "room_name", "sender", "sender_display_name", "type",
	}
	encrypted := service.Subscribe()
	tests := []struct {
		name     string
		device   device
		endpoint string
		members  []string
	}{
		{"in the clear: ids and counts", device{AppID: "org.example.up", Pushkey: service.Endpoint("plain")}, "", ids},
		{"with content full: everything", device{AppID: "org.example.full", Pushkey: service.Endpoint("full")}, "", whole},
		{"encrypted: everything", device{
			AppID: "org.example.up", Pushkey: encrypted.Endpoint,
			Data: map[string]any{"keys": map[string]any{"p256dh": encrypted.P256dh, "auth": encrypted.Auth}},
		}, "", whole},
	}
	for _, tt := range tests {
		wantBody(t, s.hs.notify(alert("$1", tt.device)), nothingRejected)
		m := s.pushes(tt.device.Pushkey, 1)[0]
		var body map[string]map[string]any
		if err := json.Unmarshal(m.Body, &body); err != nil || len(body) != 1 {
			t.Fatalf("%s: the body is %s", tt.name, m.Body)
		}
		if got := slices.Sorted(maps.Keys(body["notification"])); !slices.Equal(got, tt.members) {
			t.Errorf("%s: the notification has %v, want %v", tt.name, got, tt.members)
		}
		if m.Urgency != "high" || m.TTL < 86_000 || m.TTL > 86_400 || m.Topic != "" {
			t.Errorf("%s: the headers are %v", tt.name, m.Header)
		}
	}
}

func TestU01_ALongNotificationIsShortenedTo4096Bytes(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory\n"+service.moreUp("org.example.full", "content full")), "matrix_push")
	s := scene{t, service, gateway, gateway.homeserver()}
	long := strings.Repeat("ä", 3000)
	tests := []struct {
		name    string
		content map[string]any
		room    string
		want    []string
		ends    string // the body
	}{
		{"fits", map[string]any{"body": "short"}, "The room", []string{"content", "room_name", "event_id"}, "short"},
		{
			"without the rest of its content",
			map[string]any{"body": "short", "x": long},
			"The room",
			[]string{"content", "room_name", "event_id"},
			"short",
		},
		{"without the end of its body", map[string]any{"body": long}, "The room", []string{"content", "room_name", "event_id"}, "ä…"},
		{"without its content", map[string]any{"x": long}, "The room", []string{"room_name", "event_id"}, ""},
		{"without its names", map[string]any{"body": "short"}, long, []string{"content", "event_id"}, "short"},
	}
	for i, tt := range tests {
		d := device{AppID: "org.example.full", Pushkey: service.Endpoint(strconv.Itoa(i))}
		body := compose(map[string]any{
			"event_id": "$1", "room_id": "!room:hs.test", "type": "m.room.message", "room_name": tt.room,
			"content": tt.content, "counts": map[string]any{"unread": 1},
		}, []device{d})
		wantBody(t, s.hs.notify(body), nothingRejected)
		m, n := s.push(d.Pushkey)
		if m.Size > 4096 {
			t.Errorf("%s: %d bytes", tt.name, m.Size)
		}
		for _, name := range []string{"content", "room_name", "event_id"} {
			if _, has := n[name]; has != slices.Contains(tt.want, name) {
				t.Errorf("%s: has %s is %v", tt.name, name, has)
			}
		}
		content, _ := n["content"].(map[string]any)
		if tt.ends != "" && !strings.HasSuffix(fmt.Sprint(content["body"]), tt.ends) {
			t.Errorf("%s: the content is %.200v", tt.name, n["content"])
		}
	}
	// Names are left out only if they must be. A push that cannot fit at all is not sent, and its pushkey is not rejected.
	d := device{AppID: "org.example.full", Pushkey: service.Endpoint("never")}
	wantBody(t, s.hs.notify(alert("$"+long, d)), nothingRejected)
	s.pushes(d.Pushkey, 0)
}

func TestU02_TheOperatorsNetworkIsNeverContacted(t *testing.T) {
	t.Parallel()
	s := newSentinel(t, ":0")
	gateway := startGateway(t, "rejected memory\napp * {\n unifiedpush {\n proxy none\n }\n wait 20s\n}", "matrix_push")
	hs := gateway.homeserver()

	// A blocked endpoint gets no push, and is not rejected: the operator may still allow it.
	for i, host := range []string{
		"127.0.0.1", "127.255.0.9", "localhost", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]",
		"10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
		"255.255.255.255", "[fc00::1]", "[fd12:3456::1]", "[fe80::1]", "[ff02::1]", "[2001:db8::1]",
		"[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::7f00:1]", "[::ffff:10.0.0.1]",
	} {
		r := hs.notify(alert(fmt.Sprint("$", i), upDevice("https://"+host+":"+s.port+"/up/phone")))
		if wantBody(t, r, nothingRejected); t.Failed() {
			t.Fatal(host)
		}
	}
	// Some resolvers read these as 127.0.0.1, others as names that do not exist.
	for i, host := range []string{"localhost.", "2130706433", "127.1", "0x7f.0.0.1", "0177.0.0.1"} {
		if r := hs.notify(alert(fmt.Sprint("$n", i), upDevice("https://"+host+":"+s.port+"/up/phone"))); len(r.Rejected) != 0 {
			t.Errorf("%s is answered %d %s", host, r.Status, r.Body)
		}
	}
	// Ports of other services are not connected to, either.
	for i, port := range []string{"1", "22", "25", "80", "444", "1023", "2019", "2021"} {
		wantBody(t, hs.notify(alert(fmt.Sprint("$p", i), upDevice("https://127.0.0.1:"+port+"/up/phone"))), nothingRejected)
	}
	s.wantNoContact(t, "127.0.0.1")
}

func TestU02_ARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	private := newSentinel(t, "127.0.0.1:0") // allowed itself, so only the rule about redirects protects it
	for _, status := range []int{301, 302, 303, 307, 308} {
		d := upDevice(s.service.Endpoint(strconv.Itoa(status)))
		s.service.Answer(d.Pushkey, providertest.Answer{Status: status, Header: http.Header{"Location": {"https://127.0.0.1:" + private.port + "/"}}})
		wantUnavailable(t, s.hs.notify(alert("$1", d)))
	}
	private.wantNoContact(t, "127.0.0.1")
}

func TestU03_WhatIsNoHTTPSURLIsRejectedWithoutTheNetwork(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push") // it allows 127.0.0.0/8, so the gateway could connect
	listener := newSentinel(t, "127.0.0.1:0")
	host := "127.0.0.1:" + listener.port
	for i, pushkey := range []string{
		"http://" + host + "/up/phone", "HTTP://" + host + "/up/phone", "https://user@" + host + "/up", "https://user:password@" + host + "/up",
		"https://@" + host + "/up", "//" + host + "/up", "/up/phone", host, "https:" + host, "https:///up/phone", "https://:" + listener.port + "/up",
		"https://" + host + "0000/up", "ftp://" + host, "file:///etc/passwd", "unix//run/caddy.sock", "not a URL", "https://" + host + "/%zz",
		"https://[::1/up", " https://" + host + "/up", "https://" + host + "/\nup", "wss://" + host + "/up", "javascript:alert(1)", "https://",
	} {
		r := s.hs.notify(alert(fmt.Sprint("$", i), upDevice(pushkey)))
		if r.Status != http.StatusOK || !slices.Equal(r.Rejected, []string{pushkey}) {
			t.Errorf("%q is answered %d %s", pushkey, r.Status, r.Body)
		}
	}
	listener.wantNoContact(t, "127.0.0.1")
}

func TestU04_AllowPrivateOpensAPrivateNetworkAndNoMore(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	closed := newSentinel(t, "127.0.0.2:0")
	gateway := startGateway(t, `rejected memory
		app * {
			unifiedpush {
				trusted_ca `+service.CAFile+`
				allow_private 127.0.0.1 fd00::/8
				proxy none
			}
			wait 20s
		}`, "matrix_push")
	s := scene{t, service, gateway, gateway.homeserver()}
	endpoint := service.Endpoint("phone")
	wantBody(t, s.hs.notify(alert("$1", upDevice(endpoint))), nothingRejected)
	s.pushes(endpoint, 1)
	wantBody(t, s.hs.notify(alert("$1", upDevice("https://127.0.0.2:"+closed.port+"/up/phone"))), nothingRejected)
	closed.wantNoContact(t, "127.0.0.2")
}

func TestU05_AnAppDiscoversTheGateway(t *testing.T) {
	t.Parallel()
	gateway := newProcess(t)
	gateway.start(head + "https://gateway.test:{port} {\n" + certificate + "\nmatrix_push\nrespond \"the push server\"\n}\n")
	hs := gateway.homeserver()
	r, err := hs.do(http.MethodGet, gateway.url(), "")
	if err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`^{"gateway":"matrix","unifiedpush":{"gateway":"matrix","application_server_key":"B[\w-]{86}"}}$`)
	if r.Status != http.StatusOK || !key.MatchString(r.Body) {
		t.Errorf("answered %d %s", r.Status, r.Body)
	}
	if origin := r.Header.Get("Access-Control-Allow-Origin"); origin != "*" {
		t.Errorf("a browser's app may not read it: %q", origin)
	}
	if r, err = hs.do(http.MethodGet, strings.Replace(gateway.url(), "/_matrix/push/v1/notify", "/up/phone", 1), ""); err != nil || r.Body != "the push server" {
		t.Errorf("the push server behind it answers %d %s: %v", r.Status, r.Body, err)
	}
}

func TestU06_AHostGetsABoundedNumberOfRequestsAtATime(t *testing.T) {
	t.Parallel()
	const limit, requests, devices = 64, 5, 32
	c := &crowd{changed: make(chan struct{}), open: make(chan struct{})}
	server := providertest.NewTLSServer(t, c)
	service := newPushServer(t)
	gateway := startGateway(t, service.global(`rejected memory
		app org.example.crowd {
			unifiedpush {
				trusted_ca `+server.CAFile+`
				allow_private 127.0.0.0/8
				proxy none
			}
			wait 1s
		}`), "matrix_push")
	var wg sync.WaitGroup
	for i := range requests {
		hs := gateway.homeserver()
		wg.Go(func() {
			var list []device
			for j := range devices {
				list = append(list, device{AppID: "org.example.crowd", Pushkey: fmt.Sprintf("%s/up/%d-%d", server.URL, i, j)})
			}
			r, err := hs.try(alert("$1", list...))
			if err != nil || r.Status != http.StatusServiceUnavailable {
				t.Errorf("answered %d %s: %v", r.Status, r.Body, err)
			}
		})
	}
	c.until(t, limit)
	// While this host hangs, another is served.
	s := scene{t, service, gateway, gateway.homeserver()}
	endpoint := service.Endpoint("phone")
	wantBody(t, s.hs.notify(alert("$1", upDevice(endpoint))), nothingRejected)
	s.pushes(endpoint, 1)
	wg.Wait() // each push now has a slot, or waits for one
	if most := c.until(t, limit); most != limit {
		t.Errorf("%d requests at the same time", most)
	}
	close(c.open)
	if most := c.until(t, requests*devices); most != limit {
		t.Errorf("%d requests at the same time", most)
	}
}
