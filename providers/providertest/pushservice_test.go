package providertest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/ece"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/vapid"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

const origin = "https://push.example"

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// fixture is a service with one endpoint of each kind, and the application server that the Web Push one is restricted to.
type fixture struct {
	*providertest.PushService
	sub    providertest.Subscription
	up     string
	signer *vapid.Signer
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	key, err := vapid.Generate()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := vapid.NewSigner(key, "mailto:ops@example.org")
	if err != nil {
		t.Fatal(err)
	}
	service := providertest.NewPushService(providertest.PushServiceOptions{Origin: origin + "/", Now: func() time.Time { return noon }})
	return fixture{service, service.SubscribeFor(key.PublicKey()), service.Endpoint("phone"), signer}
}

// webPush returns a Web Push request without a mistake.
func (f fixture) webPush(t *testing.T) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, f.sub.Endpoint, strings.NewReader(f.encrypted(t, "hello")))
	authorization, err := f.signer.Authorization(origin, noon)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Authorization":    {authorization},
		"Content-Encoding": {"aes128gcm"},
		"Ttl":              {"60"},
		"Urgency":          {"high"},
		"Topic":            {"room_1-A"},
	}
	return r
}

func (f fixture) encrypted(t *testing.T, message string) string {
	t.Helper()
	keys, err := ece.ParseKeys(f.sub.P256dh, f.sub.Auth)
	if err != nil {
		t.Fatal(err)
	}
	body, err := ece.Encrypt([]byte(message), keys)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// unifiedPush returns a plain UnifiedPush request without a mistake, except perhaps in its body.
func (f fixture) unifiedPush(t *testing.T, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, f.up, strings.NewReader(body))
	r.Header = http.Header{"Ttl": {"0"}, "Urgency": {"low"}}
	return r
}

func (f fixture) do(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result()
}

func TestAGoodWebPushIsTakenAndDecrypted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	answer := f.do(f.webPush(t))
	if answer.StatusCode != http.StatusCreated || answer.Header.Get("Location") == "" || answer.Header.Get("TTL") != "60" {
		t.Errorf("the answer is %s with %v", answer.Status, answer.Header)
	}
	m, err := f.Wait(t.Context(), f.sub.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Encrypted || string(m.Body) != "hello" || m.Size != 512 || m.Path != f.sub.Path {
		t.Errorf("the message is %+v", m)
	}
	if m.TTL != 60 || m.Urgency != "high" || m.Topic != "room_1-A" {
		t.Errorf("the message's headers are %d, %s, %s", m.TTL, m.Urgency, m.Topic)
	}
	if !m.VAPID || m.Subject != "mailto:ops@example.org" || len(m.Violations) != 0 {
		t.Errorf("VAPID: %v, %s, %v", m.VAPID, m.Subject, m.Violations)
	}
}

func TestAGoodUnifiedPushIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const body = `{"notification":{"event_id":"$e"}}`
	if answer := f.do(f.unifiedPush(t, body)); answer.StatusCode != http.StatusCreated {
		t.Errorf("the answer is %s", answer.Status)
	}
	m, err := f.Wait(t.Context(), f.up)
	if err != nil {
		t.Fatal(err)
	}
	if m.Encrypted || m.VAPID || string(m.Body) != body || m.TTL != 0 || len(m.Violations) != 0 {
		t.Errorf("the message is %+v", m)
	}
}

func TestAnUnknownPathIsNotFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.webPush(t)
	r.URL.Path = "/webpush/unknown"
	if answer := f.do(r); answer.StatusCode != http.StatusNotFound {
		t.Errorf("the answer is %s", answer.Status)
	}
}

func TestTheDemonstrationsKeysAreThoseOfRFC8291(t *testing.T) {
	t.Parallel()
	sub := newFixture(t).SubscribeDemo("demo")
	if sub.Endpoint != origin+"/webpush/demo" || sub.Auth != "BTBZMqHH6r4Tts7J_aSIgg" ||
		sub.P256dh != "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4" {
		t.Errorf("the subscription is %+v", sub)
	}
}

func TestProgrammedAnswersComeInTurn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Answer(
		f.up,
		providertest.Answer{Status: 429, Header: http.Header{"Retry-After": {"7"}}, Times: 2},
		providertest.Answer{Status: 410, Body: "gone", Times: 1},
	)
	for i, want := range []int{429, 429, 410, 201} {
		answer := f.do(f.unifiedPush(t, `{"notification":{}}`))
		if answer.StatusCode != want {
			t.Errorf("answer %d is %s, want %d", i, answer.Status, want)
		}
		if want == 429 && answer.Header.Get("Retry-After") != "7" {
			t.Errorf("answer %d has no Retry-After", i)
		}
	}
	f.Answer(f.up, providertest.Answer{Status: 503})
	for range 3 {
		if answer := f.do(f.unifiedPush(t, `{"notification":{}}`)); answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("the answer is %s", answer.Status)
		}
	}
	messages := f.Messages(f.up)
	if len(messages) != 7 || messages[2].Status != 410 || messages[6].Status != 503 {
		t.Errorf("there are %d messages: %+v", len(messages), messages)
	}
}

func TestAMistakeIsAnsweredBeforeWhatIsProgrammed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Answer(f.up, providertest.Answer{Status: 410})
	if answer := f.do(f.unifiedPush(t, "no JSON")); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("the answer is %s", answer.Status)
	}
}

func TestAHangingPushEndsWithItsClientOrTheService(t *testing.T) {
	t.Parallel()
	ends := map[string]func(f fixture, cancel context.CancelFunc){
		"the client goes away":  func(_ fixture, cancel context.CancelFunc) { cancel() },
		"the service is closed": func(f fixture, _ context.CancelFunc) { f.Close() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.Answer(f.up, providertest.Answer{Hang: true})
			server := httptest.NewServer(f)
			defer server.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			failed := make(chan error)
			go func() { failed <- post(ctx, server.URL+"/up/phone", `{"notification":{}}`) }()
			if _, err := f.Wait(t.Context(), f.up); err != nil {
				t.Fatal(err)
			}
			end(f, cancel)
			if err := <-failed; err == nil {
				t.Error("there was an answer")
			}
		})
	}
}

func TestADroppedConnectionIsNoAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Answer(f.up, providertest.Answer{Drop: true, Times: 1})
	server := providertest.NewTLSServer(t, f)
	if err := postWith(t.Context(), client(server), server.URL+"/up/phone", `{"notification":{}}`); err == nil {
		t.Error("there was an answer")
	}
}

func TestWaitGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Wait(ctx, f.up); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := f.Wait(ctx, "/up/unknown"); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("an unknown endpoint: %v", err)
	}
}

func TestOnlyTheNewestMessagesAreKept(t *testing.T) {
	t.Parallel()
	service := providertest.NewPushService(providertest.PushServiceOptions{Origin: origin, Keep: 2})
	f := fixture{PushService: service, up: service.Endpoint("phone")}
	for _, name := range []string{"1", "2", "3"} {
		f.do(f.unifiedPush(t, `{"notification":{"event_id":"`+name+`"}}`))
	}
	if n := len(f.Messages(f.up)); n != 2 {
		t.Errorf("%d are kept", n)
	}
	m, err := f.Wait(t.Context(), f.up)
	if err != nil || !strings.Contains(string(m.Body), "2") {
		t.Errorf("the oldest left is %s, %v", m.Body, err)
	}
}

func post(ctx context.Context, url, body string) error {
	return postWith(ctx, http.DefaultClient, url, body)
}

func postWith(ctx context.Context, client *http.Client, url, body string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("TTL", "60")
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
