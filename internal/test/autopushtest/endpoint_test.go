package autopushtest_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/autopushtest"
)

func TestItRefusesWhatAutopushRefuses(t *testing.T) {
	t.Parallel()
	s := autopushtest.New(t)
	b, app := connect(t, s, ""), newServer(t, s)
	endpoint, open := b.register(channel, app.public+"="), b.register(second, "")
	stranger := newServer(t, s)
	path := func(path string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = path } }
	valid := app.vapid(s.Origin, time.Hour)
	tests := []struct {
		name, endpoint string
		change         func(*http.Request)
		status         int
		errno          float64
		message        string
	}{
		{"an unknown URL", endpoint, path("/wpush/v2/unknown"), 404, 102, "Invalid token"},
		{
			"another version", endpoint, func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "v2", "v1", 1) },
			404, 102, "Invalid token",
		},
		{"GET", endpoint, func(r *http.Request) { r.Method = http.MethodGet }, 405, 0, "Method not allowed"},
		{"no signature", endpoint, set("Authorization", ""), 401, 109, "Missing VAPID public key"},
		{
			"the signature of a stranger", endpoint, set("Authorization", stranger.vapid(s.Origin, time.Hour)),
			401, 109, "VAPID public key mismatch",
		},
		{
			"the signature of a stranger with the right key", endpoint,
			set("Authorization", strings.Replace(stranger.vapid(s.Origin, time.Hour), stranger.public, app.public, 1)), 401, 109, "InvalidSignature",
		},
		{"another scheme", endpoint, set("Authorization", strings.Replace(valid, "vapid", "Basic", 1)), 401, 109, "Unknown auth scheme"},
		{"no key", endpoint, set("Authorization", valid[:strings.Index(valid, ",")]), 401, 109, "Missing VAPID public key"},
		{"a key that is cut off", endpoint, set("Authorization", valid[:len(valid)-4]), 401, 109, "Invalid VAPID public key"},
		{"another audience", endpoint, set("Authorization", app.vapid("https://example.org", time.Hour)), 401, 109, "Invalid VAPID audience"},
		{"a token that is over", endpoint, set("Authorization", app.vapid(s.Origin, -time.Minute)), 401, 109, "ExpiredSignature"},
		{
			"a token for two days", endpoint, set("Authorization", app.vapid(s.Origin, 48*time.Hour)),
			401, 109, "The VAPID token expiration is too long",
		},
		{
			"a wrong token where none is needed", open, set("Authorization", app.vapid("https://example.org", time.Hour)),
			401, 109, "Invalid VAPID audience",
		},
		{"no TTL", endpoint, set("TTL", ""), 400, 111, "Missing TTL value"},
		{"a TTL that is not a number", endpoint, set("TTL", "soon"), 400, 111, "Missing TTL value"},
		{"a negative TTL", endpoint, set("TTL", "-1"), 400, 114, "TTL must be greater than 0"},
		{"a long topic", endpoint, set("Topic", strings.Repeat("a", 33)), 400, 113, "Topic must be no greater than 32 characters"},
		{"a topic with a dot", endpoint, set("Topic", "a.b"), 400, 113, "Topic must be URL and Filename safe Base64 alphabet"},
		{"another urgency", endpoint, set("Urgency", "extreme"), 400, 0, "Urgency must be very-low, low, normal or high"},
		{"no encoding", endpoint, set("Content-Encoding", ""), 400, 110, "Missing Content-Encoding header"},
		{"another encoding", endpoint, set("Content-Encoding", "gzip"), 400, 110, "Unknown Content-Encoding header"},
		{
			"a salt beside the body", endpoint, set("Encryption", "salt=a"),
			400, 110, "Do not include 'salt' header in aes128gcm Encryption header",
		},
		{"a key beside the body", endpoint, set("Crypto-Key", "dh=a"), 400, 110, "Do not include 'dh' header in aes128gcm Crypto-Key header"},
	}
	for _, tt := range tests {
		status, errno, message, _ := app.push(tt.endpoint, "body", tt.change)
		if status != tt.status || errno != tt.errno || message != tt.message {
			t.Errorf("%s: %d, errno %v, %s", tt.name, status, errno, message)
		}
	}
	if status, errno, message, _ := app.push(endpoint, strings.Repeat("b", 4097)); status != 413 || errno != 104 || message != "overflow" {
		t.Errorf("4097 bytes: %d, errno %v, %s", status, errno, message)
	}
	if n := len(s.Refusals()); n != len(tests)+1 {
		t.Errorf("%d refusals are known", n)
	}
	for _, sub := range s.Subscriptions() {
		if len(sub.Messages) > 0 {
			t.Errorf("%d messages were accepted", len(sub.Messages))
		}
	}
}

func TestAMessageReachesTheBrowserAndItsAnswerIsKnown(t *testing.T) {
	t.Parallel()
	s := autopushtest.New(t)
	b, app := connect(t, s, ""), newServer(t, s)
	endpoint, open := b.register(channel, app.public+"="), b.register(second, "")

	body := strings.Repeat("b", 4096)
	status, _, _, header := app.push(endpoint, body, set("Topic", "a_topic-1"))
	if status != 201 || header.Get("TTL") != "60" || !strings.HasPrefix(header.Get("Location"), s.Origin+"/m/") {
		t.Errorf("the answer is %d with %v", status, header)
	}
	n := b.read("notification")
	headers, _ := n["headers"].(object)
	if n["channelID"] != channel || n["data"] != base64.RawURLEncoding.EncodeToString([]byte(body)) || headers["encoding"] != "aes128gcm" {
		t.Errorf("the browser gets a message of %v with %v", n["channelID"], n["headers"])
	}
	b.send(object{"messageType": "ack", "updates": []object{{"channelID": channel, "version": n["version"], "code": 101}}})
	sub := s.WaitAcks(endpoint, 1)
	m := sub.Messages[0]
	if sub.Key != app.public || m.Ack != 101 || m.Size != 4096 || m.Subject != "mailto:ops@example.org" ||
		m.Header.Get("Topic") != "a_topic-1" {
		t.Errorf("the service knows an answer %d to %d bytes of %q", m.Ack, m.Size, m.Subject)
	}

	// Another browser gets only its own messages.
	other := connect(t, s, "")
	status, _, _, _ = app.push(other.register(third, ""), "body")
	if n := other.read("notification"); status != 201 || n["channelID"] != third {
		t.Errorf("the other browser gets a message of %v", n["channelID"])
	}

	// An endpoint without a key needs no signature, and a push needs no body.
	if status, _, _, _ := app.push(open, "", set("Authorization", ""), set("Content-Encoding", "")); status != 201 {
		t.Errorf("the answer is %d", status)
	}
	if n = b.read("notification"); n["channelID"] != second || n["data"] != nil {
		t.Errorf("the browser gets a message of %v with %v", n["channelID"], n["headers"])
	}
	b.send(object{"messageType": "nack", "version": n["version"], "code": 301})
	if sub := s.WaitAcks(open, 1); sub.Messages[0].Ack != 301 || sub.Key != "" {
		t.Errorf("the service knows an answer %d", sub.Messages[0].Ack)
	}
}

func TestASubscriptionThatWasGivenUpIsGone(t *testing.T) {
	t.Parallel()
	s := autopushtest.New(t)
	b, app := connect(t, s, ""), newServer(t, s)
	endpoint := b.register(channel, app.public)
	wantGone := func(errno float64, message string) {
		t.Helper()
		status, got, word, header := app.push(endpoint, "body")
		if status != 410 || got != errno || word != message || header.Get("Cache-Control") != "max-age=86400" {
			t.Errorf("the answer is %d, errno %v, %s, %v", status, got, word, header)
		}
	}
	b.send(object{"messageType": "unregister", "channelID": channel, "code": 201})
	if answer := b.read("unregister"); answer["status"] != 200.0 || answer["channelID"] != channel {
		t.Errorf("unregister is answered with %v", answer)
	}
	wantGone(106, "No such subscription")
	if sub := s.Subscriptions()[0]; sub.Unregistered != 201 {
		t.Errorf("the service knows the code %d", sub.Unregistered)
	}

	endpoint = b.register(second, app.public)
	s.Forget()
	wantGone(103, "UAID not found")
	if again := connect(t, s, b.uaid); again.uaid == b.uaid {
		t.Error("the browser is still known")
	}
	if sub := s.Subscriptions()[1]; sub.Unregistered != -1 {
		t.Errorf("the service knows the code %d", sub.Unregistered)
	}
}

func TestAnswersAreProgrammed(t *testing.T) {
	t.Parallel()
	s := autopushtest.New(t)
	app := newServer(t, s)
	endpoint := connect(t, s, "").register(channel, app.public)
	twice := autopushtest.Unavailable
	twice.Times = 2
	s.Answer(endpoint, twice)
	for i, want := range []int{503, 503, 201} {
		status, _, message, header := app.push(endpoint, "body")
		if status != want || status == 503 && (header.Get("Retry-After") != "120" || !strings.HasPrefix(message, "Database error")) {
			t.Errorf("answer %d is %d, %s", i, status, message)
		}
	}
	if n := len(s.Subscriptions()[0].Messages); n != 1 || len(s.Refusals()) != 0 {
		t.Errorf("%d messages were accepted", n)
	}
}
