package fcmtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

const (
	phone = "dQw4w9WgXcQ_demo:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx"
	hello = `{"message":{"token":"` + phone + `","data":{"event_id":"$e","prio":"high"}}}`
)

// sender is a fake, and a client that has an access token for it.
type sender struct {
	*fcmtest.Service
	client *http.Client
	bearer string
}

func newSender(t *testing.T, o fcmtest.Options) *sender {
	t.Helper()
	f := fcmtest.New(t, o)
	s := &sender{Service: f, client: client(t, f.CAFile)}
	s.refresh(t, f.AuthorizedUser(t))
	return s
}

func client(t *testing.T, caFile string) *http.Client {
	t.Helper()
	authority, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// refresh gets an access token with an authorized_user's file.
func (s *sender) refresh(t *testing.T, path string) {
	t.Helper()
	file := fileOf(t, path)
	status, answer := post(t, s.client, file["token_uri"], url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {file["refresh_token"]},
		"client_id": {file["client_id"]}, "client_secret": {file["client_secret"]},
	})
	token, ok := answer["access_token"].(string)
	if status != http.StatusOK || !ok || answer["token_type"] != "Bearer" {
		t.Fatalf("the answer is %d, %v", status, answer)
	}
	s.bearer = "Bearer " + token
}

func fileOf(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]string
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

func post(t *testing.T, client *http.Client, url string, form url.Values) (status int, body map[string]any) {
	t.Helper()
	answer, err := client.PostForm(url, form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, body
}

// request returns a send that is correct, except perhaps for its body.
func (s *sender) request(ctx context.Context, body string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/projects/demo-project/messages:send", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header = http.Header{"Authorization": {s.bearer}, "Content-Type": {"application/json"}}
	return r
}

func (s *sender) do(t *testing.T, r *http.Request) (status int, body string) {
	t.Helper()
	answer, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func (s *sender) send(t *testing.T, body string) (status int, answer string) {
	t.Helper()
	return s.do(t, s.request(t.Context(), body))
}

func (s *sender) want(t *testing.T, status int) {
	t.Helper()
	if got, body := s.send(t, hello); got != status {
		t.Errorf("the answer is %d, want %d: %s", got, status, body)
	}
}

func TestFCMTakesAGoodMessage(t *testing.T) {
	t.Parallel()
	f := newSender(t, fcmtest.Options{Now: func() time.Time { return noon }})
	status, body := f.send(t, hello)
	if status != http.StatusOK || body != "{\n  \"name\": \"projects/demo-project/messages/0:1\"\n}\n" {
		t.Errorf("the answer is %d, %s", status, body)
	}
	m, err := f.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.Token != phone || m.Data["event_id"] != "$e" || m.Data["prio"] != "high" || len(m.Data) != 2 || !m.Time.Equal(noon) {
		t.Errorf("the message is %+v", m)
	}
	if raw := `{"message":` + string(m.Raw) + `}`; raw != hello {
		t.Errorf("the message object is %s", m.Raw)
	}
	requests := f.Requests()
	if len(requests) != 1 || requests[0].Status != http.StatusOK || len(requests[0].Violations) != 0 {
		t.Errorf("the requests are %+v", requests)
	}
}

func TestFCMDoesNotDeliverAMessageThatIsOnlyToBeValidated(t *testing.T) {
	t.Parallel()
	f := newSender(t, fcmtest.Options{})
	status, body := f.send(t, `{"validate_only":true,`+hello[1:])
	if status != http.StatusOK || !strings.Contains(body, "fake_message_id") {
		t.Errorf("the answer is %d, %s", status, body)
	}
	if requests := f.Requests(); len(f.Messages()) != 0 || len(requests) != 1 || !requests[0].ValidateOnly {
		t.Errorf("the requests are %+v", requests)
	}
}

func TestFCMSpeaksHTTP2OverOneConnection(t *testing.T) {
	t.Parallel()
	f := newSender(t, fcmtest.Options{})
	for range 3 {
		answer, err := f.client.Do(f.request(t.Context(), hello))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil || answer.ProtoMajor != 2 {
			t.Errorf("it speaks %s, %v", answer.Proto, err)
		}
	}
	if n := f.Connections(); n != 1 {
		t.Errorf("%d connections were made", n)
	}
}

func TestFCMGivesProgrammedAnswersInTurn(t *testing.T) {
	t.Parallel()
	f := newSender(t, fcmtest.Options{})
	busy := fcmtest.ErrorFor("UNAVAILABLE")
	busy.Times = 2
	f.Answer(phone, providertest.Answer{Times: 1}, busy)
	f.Answer("", providertest.Answer{Status: 500, Times: 1})
	for i, status := range []int{200, 503, 503, 500, 200} {
		if got, body := f.send(t, hello); got != status {
			t.Errorf("answer %d is %d, want %d: %s", i, got, status, body)
		}
	}
	if n := len(f.Messages()); n != 2 {
		t.Errorf("%d messages were accepted", n)
	}
}

func TestFCMRefusesAMistakeBeforeItGivesAProgrammedAnswer(t *testing.T) {
	t.Parallel()
	f := newSender(t, fcmtest.Options{})
	f.Answer("", providertest.Answer{Status: 503})
	if status, _ := f.send(t, `{"message":{}}`); status != http.StatusBadRequest {
		t.Errorf("the answer is %d", status)
	}
}

func TestFCMForgetsAnUnregisteredToken(t *testing.T) {
	t.Parallel()
	f := newSender(t, fcmtest.Options{})
	f.Unregister(phone)
	for range 2 {
		f.want(t, http.StatusNotFound)
	}
	if status, _ := f.send(t, strings.Replace(hello, phone, phone+"2", 1)); status != http.StatusOK {
		t.Errorf("another token is answered %d", status)
	}
	f.Answer(phone)
	f.want(t, http.StatusOK)
}

func TestFCMEndsAHangingSendWithItsClientAndRecordsIt(t *testing.T) {
	t.Parallel()
	f := newSender(t, fcmtest.Options{})
	f.Answer("", providertest.Answer{Hang: true, Times: 1}, providertest.Answer{Drop: true, Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		answer, err := f.client.Do(f.request(ctx, hello))
		if err == nil {
			_ = answer.Body.Close()
		}
		failed <- err
	}()
	hanging, err := f.WaitRequest(t.Context())
	if err != nil || hanging.Status != 0 || hanging.Token != phone {
		t.Errorf("the request is %+v, %v", hanging, err)
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if answer, err := f.client.Do(f.request(t.Context(), hello)); err == nil {
		t.Errorf("a dropped send is answered %s", answer.Status)
	}
	if n := len(f.Messages()); n != 0 {
		t.Errorf("%d messages were accepted", n)
	}
}

func TestFCMLetsGoOfAHungSendWhenItCloses(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	t.Run("a test that ends", func(t *testing.T) {
		f := newSender(t, fcmtest.Options{})
		f.Answer("", providertest.Answer{Hang: true})
		r := f.request(context.WithoutCancel(t.Context()), hello)
		go func() {
			answer, err := f.client.Do(r)
			if err == nil {
				_ = answer.Body.Close()
			}
			failed <- err
		}()
		if _, err := f.WaitRequest(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if err := <-failed; err == nil {
		t.Error("there was an answer")
	}
}

func TestFCMWaitsForAcceptedMessagesAlone(t *testing.T) {
	t.Parallel()
	f := newSender(t, fcmtest.Options{})
	f.Answer("", providertest.Answer{Status: 503, Times: 1})
	f.want(t, http.StatusServiceUnavailable)
	f.want(t, http.StatusOK)
	if m, err := f.Wait(t.Context()); err != nil || m.Token != phone {
		t.Errorf("got %+v, %v", m, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFCMTakesConcurrentSends(t *testing.T) {
	t.Parallel()
	f := newSender(t, fcmtest.Options{})
	user := f.AuthorizedUser(t)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			other := &sender{Service: f.Service, client: f.client}
			other.refresh(t, user)
			other.want(t, http.StatusOK)
			f.Answer("")
			if _, err := f.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if messages, requests := len(f.Messages()), f.TokenRequests(); messages != 16 || requests != 17 {
		t.Errorf("%d messages and %d token requests", messages, requests)
	}
}
