package subscriber_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	webpush "github.com/SherClockHolmes/webpush-go"

	"github.com/matrix-push/caddy-matrix-push/examples/subscriber/subscriber"
)

const origin = "https://localhost:8443"

func do(t *testing.T, h http.Handler, method, target, body string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.Header.Set("TTL", "60")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, answer *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// inProcess sends webpush-go's request to the server.
type inProcess struct{ handler http.Handler }

func (c inProcess) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	r.RequestURI = ""
	c.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestAWebPushIsPrintedDecrypted(t *testing.T) {
	t.Parallel()
	out := new(bytes.Buffer)
	s := subscriber.New(subscriber.Options{Origin: origin + "/", RequireVAPID: true, Out: out})
	private, public, err := webpush.GenerateVAPIDKeys()
	if err != nil {
		t.Fatal(err)
	}
	sub := s.WebPush()
	answer, err := webpush.SendNotification([]byte(`{"event_id":"$e"}`), &webpush.Subscription{
		Endpoint: sub.Endpoint, Keys: webpush.Keys{P256dh: sub.P256dh, Auth: sub.Auth},
	}, &webpush.Options{
		HTTPClient: inProcess{s}, Subscriber: "ops@example.org", TTL: 60, Urgency: webpush.UrgencyHigh,
		VAPIDPrivateKey: private, VAPIDPublicKey: public,
	})
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusCreated {
		t.Errorf("the answer is %s: %s", answer.Status, text(t, answer))
	}
	for _, want := range []string{
		"/webpush/demo  answered 201", "TTL 60  Urgency high  Topic none", "decrypted below",
		"VAPID verified, subject mailto:ops@example.org", "\n     \"event_id\": \"$e\"\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func TestAMistakeIsPrintedAndRefused(t *testing.T) {
	t.Parallel()
	out := new(bytes.Buffer)
	s := subscriber.New(subscriber.Options{Origin: origin, Out: out})
	if answer := do(t, s, "POST", s.UnifiedPush(), "\x1b[2J"); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("the answer is %s", answer.Status)
	}
	if !strings.Contains(out.String(), "refused: the body is not JSON") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("printed %q", out)
	}
}

func TestTheLastMessagesCanBeRead(t *testing.T) {
	t.Parallel()
	s := subscriber.New(subscriber.Options{Origin: origin, Out: io.Discard})
	do(t, s, "POST", s.UnifiedPush(), `{"notification":{"event_id":"$e"}}`)
	do(t, s, "POST", s.UnifiedPush(), `no JSON`)
	var messages []struct {
		Status int
		Body   any
	}
	if err := json.NewDecoder(do(t, s, "GET", s.UnifiedPush(), "").Body).Decode(&messages); err != nil {
		t.Fatal(err)
	}
	if len(messages) != 2 || messages[0].Status != 201 || messages[1].Status != 400 || messages[1].Body != "no JSON" {
		t.Errorf("the messages are %+v", messages)
	}
}

func TestAnEndpointAnswersWhatItIsTold(t *testing.T) {
	t.Parallel()
	s := subscriber.New(subscriber.Options{Origin: origin, Out: io.Discard})
	put := func(target string, want int) {
		t.Helper()
		if answer := do(t, s, "PUT", target, ""); answer.StatusCode != want {
			t.Errorf("PUT %s is answered %s", target, answer.Status)
		}
	}
	push := func(target string, want int) *http.Response {
		t.Helper()
		answer := do(t, s, "POST", target, `{"notification":{}}`)
		if answer.StatusCode != want {
			t.Errorf("POST %s is answered %s, want %d", target, answer.Status, want)
		}
		return answer
	}
	put("/up/demo?answer=410&times=1", 204)
	push("/up/demo", 410)
	push("/up/demo", 201)
	put("/up/demo?answer=429&retry_after=30", 204)
	if after := push("/up/demo", 429).Header.Get("Retry-After"); after != "30" {
		t.Errorf("Retry-After is %q", after)
	}
	put("/up/demo?answer=ok", 204)
	push("/up/demo", 201)
	push("/up/other", 404)
	put("/up/other", 204)
	push("/up/other", 201)
	put("/webpush/other", 204)
	push("/webpush/other", 400)
	put("/elsewhere/demo", 404)
	put("/up/a%20b", 400)
	for _, bad := range []string{"answer=99", "answer=yes", "answer=410&times=0", "answer=429&retry_after=soon"} {
		put("/up/demo?"+bad, 400)
	}
}

func TestTheServerSaysWhatToRegister(t *testing.T) {
	t.Parallel()
	s := subscriber.New(subscriber.Options{Origin: origin, Out: io.Discard})
	help := text(t, do(t, s, "GET", "/", ""))
	for _, want := range []string{s.WebPush().P256dh, s.WebPush().Auth, origin + "/webpush/demo", origin + "/up/demo"} {
		if !strings.Contains(help, want) {
			t.Errorf("%q is missing in\n%s", want, help)
		}
	}
}

func TestTheServerEndsWithItsContextEvenIfAPushHangs(t *testing.T) {
	t.Parallel()
	s := subscriber.New(subscriber.Options{Out: io.Discard})
	do(t, s, "PUT", "/up/demo?answer=hang", "")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, listener) }()
	go func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+listener.Addr().String()+"/up/demo", strings.NewReader(`{"notification":{}}`))
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("TTL", "60")
		if answer, err := http.DefaultTransport.RoundTrip(r); err == nil {
			_ = answer.Body.Close()
		}
	}()
	if _, err := s.Service().Wait(t.Context(), "/up/demo"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestABrokenCertificateIsAnError(t *testing.T) {
	t.Parallel()
	s := subscriber.New(subscriber.Options{Listen: "127.0.0.1:0", CertFile: "nowhere.pem", KeyFile: "nowhere.pem", Out: io.Discard})
	if err := s.Run(t.Context()); err == nil {
		t.Error("the server ran")
	}
}
