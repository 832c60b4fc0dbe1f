package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestASygnalOperatorMigratesWithOneCommand(t *testing.T) {
	t.Parallel()
	s := newSygnalScene(t)
	s.run("--adapter", "sygnal", "--config", "sygnal.yaml")
	hs := s.homeserver()

	t.Run("the same notification reaches each push service as Sygnal sends it", func(t *testing.T) { s.in(t).wantSygnalsPushes() })
	t.Run("a device of an app that nobody serves is rejected", func(t *testing.T) {
		stranger := device{AppID: "com.example.other", Pushkey: "stranger"}
		wantBody(t, hs.notify(sygnalNotification(stranger)), rejecting("stranger"))
	})
	t.Run("a body of 512 KiB is read, and none of more", func(t *testing.T) {
		for size, want := range map[int]int{512 << 10: http.StatusOK, 512<<10 + 1: http.StatusRequestEntityTooLarge} {
			body := compose(map[string]any{"event_id": "$large"}, nil)
			body += strings.Repeat(" ", size-len(body))
			if r := hs.notify(body); r.Status != want {
				t.Errorf("%d bytes: answered %d %s", size, r.Status, r.Body)
			}
		}
	})
	t.Run("its other paths are not there", func(t *testing.T) {
		for path, want := range map[string]int{"/": 404, "/health/": 404, "/_matrix/push/v1/other": 404} {
			if r, err := hs.do(http.MethodGet, s.base()+path, ""); err != nil || r.Status != want {
				t.Errorf("%s: %d, %v", path, r.Status, err)
			}
		}
		if r, err := hs.do(http.MethodPost, s.base()+"/health", ""); err != nil || r.Status != http.StatusNotFound {
			t.Errorf("POST /health: %d, %v", r.Status, err)
		}
	})
	t.Run("metrics have a separate listener, whatever the path", func(t *testing.T) {
		for _, path := range []string{"/", "/metrics"} {
			r, err := hs.do(http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(s.port2)+path, "")
			if err != nil || r.Status != http.StatusOK || !strings.Contains(r.Body, `caddy_matrix_push_notifications_total{code="200"}`) {
				t.Errorf("%s: %d, %v", path, r.Status, err)
			}
		}
	})
	t.Run("it keeps its state where the warning says", func(t *testing.T) {
		for _, name := range []string{"rejected.db", "outbox.db"} {
			if _, err := os.Stat(filepath.Join(s.dir, "caddy", "matrix_push", name)); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("the log warns of what is not carried over, and has the accesses except health", func(t *testing.T) { s.in(t).wantLog() })
}

// wantSygnalsPushes sends one notification to a device of each type, and compares what the services get with what Sygnal sends them.
func (s *sygnalScene) wantSygnalsPushes() {
	t := s.t
	phone, tablet := sygnalDevice(iPhoneOf("com.example.apns", "phone")), sygnalDevice(androidOf("com.example.gcm.tablet", "tablet"))
	sub := s.browsers.SubscribeFor(s.publicKey)
	browser := webPushDevice(sub)
	browser.AppID = "com.example.web"
	wantBody(t, s.homeserver().notify(sygnalNotification(phone, tablet, browser)), nothingRejected)

	s.apns.await(t, func() bool { return len(s.apns.Pushes()) > 0 }) // the answer does not wait for it
	push := s.apns.taken(t, phone.path(), 1)[0]
	wantJSON(t, push.Payload, `{"aps":{"alert":{"loc-key":"MSG_FROM_USER_IN_ROOM_WITH_CONTENT",
		"loc-args":["Major Tom","Mission Control","Ground control, do you read?"]},"badge":3},
		"room_id":"!space:hs.test","event_id":"$event"}`)
	if push.Topic != bundleID || push.Priority != 10 || push.PushType != "alert" {
		t.Errorf("the push is %s for %s with priority %d", push.PushType, push.Topic, push.Priority)
	}

	messages := googleScene{t: t, fcm: s.fcm}.messages(tablet, 1)
	wantMessage(t, messages[0], 24*time.Hour, `{"token":"`+tablet.Pushkey+`","android":{"notification":{"body":"a message"},"priority":"high"},
		"data":{"event_id":"$event","type":"m.room.message","sender":"@tom:hs.test","room_name":"Mission Control",
		"room_alias":"#mission:hs.test","sender_display_name":"Major Tom","room_id":"!space:hs.test","content_msgtype":"m.text",
		"content_body":"Ground control, do you read?","prio":"high","unread":"2","missed_calls":"1"}}`)

	received := s.browsers.Messages(sub.Path)
	if len(received) != 1 {
		t.Fatalf("%d messages reached the browser", len(received))
	}
	m := received[0]
	wantJSON(t, m.Body, `{"room_id":"!space:hs.test","room_name":"Mission Control","room_alias":"#mission:hs.test","event_id":"$event",
		"sender":"@tom:hs.test","sender_display_name":"Major Tom","type":"m.room.message","unread":2,"missed_calls":1,
		"content":{"msgtype":"m.text","body":"Ground control, do you read?","other":1}}`)
	if len(m.Violations) > 0 || !m.Encrypted || !m.VAPID || m.Subject != "mailto:ops@example.org" || m.TTL > 900 || m.TTL < 840 {
		t.Errorf("encrypted %v, signed %v by %q, for %d s; violations: %q", m.Encrypted, m.VAPID, m.Subject, m.TTL, m.Violations)
	}

	wantBody(t, s.homeserver().notify(badge(2, browser)), nothingRejected) // the gateway's own default, badges with_events, would not send it
	if received = s.browsers.Messages(sub.Path); len(received) != 2 {
		t.Fatalf("%d messages reached the browser after a badge update", len(received))
	}
	wantJSON(t, received[1].Body, `{"unread":2}`)

	want := []string{appleHost, fcmHost, oauthHost, mozillaHost}
	if got := s.internet.hosts(); !slices.Equal(got, want) {
		t.Errorf("the proxy was asked for %q, want %q", got, want)
	}
}

// wantLog wants the warnings and the access log.
func (s *sygnalScene) wantLog() {
	log := s.logged()
	for _, text := range []string{
		`"log.setup: not carried over: `, `"http.bind_addresses: listens without TLS on 127.0.0.1:`, `"metrics.prometheus: `,
		`"proxy: the adapted configuration contains the password`,
		`"apps.com.example.web.allowed_endpoints: not carried over: `, `"Sygnal keeps no state; `, `"apps.com.example.web: sends badge updates as Sygnal does (badges on)`,
		`"uri":"/_matrix/push/v1/notify"`,
	} {
		if !strings.Contains(log, text) {
			s.t.Errorf("the log has no %s", text)
		}
	}
	if regexp.MustCompile(`"method":"GET","host":"[^"]*","uri":"/health"`).MatchString(log) {
		s.t.Error("the access log has /health")
	}
	if strings.Contains(log, secretMark) {
		s.t.Error("the log has the proxy's password")
	}
}

// TestBehindAProxySygnalsConfigurationBelievesNobodyElse adapts the file of a gateway that listens on all addresses. Afterwards it makes
// the gateway listen on loopback only: a test must not open a port to the world.
func TestBehindAProxySygnalsConfigurationBelievesNobodyElse(t *testing.T) {
	t.Parallel()
	s := newSygnalScene(t)
	file := filepath.Join(s.dir, "sygnal.yaml")
	s.write("sygnal.yaml", bytes.Replace(readFile(t, file), []byte("'127.0.0.1'"), []byte("'0.0.0.0'"), 1))
	var warnings strings.Builder
	cmd := s.command("adapt", "--adapter", "sygnal", "--config", "sygnal.yaml")
	cmd.Dir, cmd.Stderr = s.dir, &warnings
	adapted, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, warnings.String())
	}
	if !strings.Contains(warnings.String(), "gets 403 unless it comes from a private address") {
		t.Errorf("no warning about the proxy:\n%s", warnings.String())
	}
	port := strconv.Itoa(s.port)
	narrowed := bytes.Replace(adapted, []byte("tcp4/0.0.0.0:"+port), []byte("127.0.0.1:"+port), 1)
	if bytes.Equal(narrowed, adapted) {
		t.Fatalf("it does not listen everywhere: %s", adapted)
	}
	s.write("sygnal.json", narrowed)
	s.run("--config", "sygnal.json")

	stranger := sygnalNotification(device{AppID: "com.example.other", Pushkey: "stranger"})
	for _, tt := range []struct {
		name   string
		protos []string
		want   int
	}{
		{"a homeserver without a proxy", nil, http.StatusForbidden},
		{"a proxy that a request reached without TLS", []string{"http"}, http.StatusForbidden},
		{"a proxy that says two things", []string{"https", "http"}, http.StatusForbidden},
		{"two proxies that ended TLS", []string{"https", "https"}, http.StatusOK},
		{"a proxy that ended TLS", []string{"https"}, http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.homeserver().url, strings.NewReader(stranger))
			if err != nil {
				t.Fatal(err)
			}
			req.Header["X-Forwarded-Proto"] = tt.protos
			req.Header.Set("X-Forwarded-For", "203.0.113.7")
			resp, err := s.client(false).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.want {
				t.Errorf("answered %d %s", resp.StatusCode, body)
			}
			if tt.want == http.StatusOK && string(body) != rejecting("stranger") {
				t.Errorf("answered %s", body)
			}
		})
	}
	if !strings.Contains(s.logged(), `"client_ip":"203.0.113.7"`) {
		t.Error("the access log does not name the client that the proxy asked for")
	}
}

func TestASygnalConfigurationThatCouldDeliverNothingDoesNotRun(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.write("sygnal.yaml", []byte("apps:\n  com.example.gcm:\n    type: gcm\n    api_key: "+secretMark+"\n"))
	cmd := p.command("run", "--adapter", "sygnal", "--config", "sygnal.yaml")
	cmd.Dir = p.dir
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "sygnal.yaml: line 3: apps.com.example.gcm.api_version: missing, which means legacy to Sygnal") {
		t.Errorf("%v: %s", err, out)
	}
	if strings.Contains(string(out), secretMark) {
		t.Errorf("the key is shown: %s", out)
	}
}
