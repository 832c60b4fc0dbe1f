package apnstest_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/jwttest"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

const (
	deviceToken = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
	bundle      = "com.example.app"
	pushID      = "123e4567-e89b-12d3-a456-426614174000"
)

// fixture is a fake with one key and with a clock that the test sets, and its client.
type fixture struct {
	*apnstest.Service
	key    *ecdsa.PrivateKey
	client *http.Client
	clock  *atomic.Pointer[time.Time]
	bearer string // a valid provider token
}

func newFixture(t *testing.T, changes ...func(*apnstest.Options)) fixture {
	t.Helper()
	f := fixture{clock: new(atomic.Pointer[time.Time])}
	f.clock.Store(&noon)
	f.key, _ = apnstest.NewKey(t)
	o := apnstest.Options{
		Keys: []apnstest.Key{{KeyID: "KEY4567890", TeamID: "TEAM567890", Public: &f.key.PublicKey, Topics: []string{bundle}}},
		Now:  func() time.Time { return *f.clock.Load() },
	}
	for _, change := range changes {
		change(&o)
	}
	f.Service = apnstest.New(t, o)
	f.client = client(t, f.Service)
	f.bearer = f.token(t, noon)
	return f
}

// advance moves the clock.
func (f fixture) advance(d time.Duration) {
	later := f.clock.Load().Add(d)
	f.clock.Store(&later)
}

// token returns a provider token of the key.
func (f fixture) token(t *testing.T, issued time.Time) string {
	t.Helper()
	return tokenOf(t, f.key, "KEY4567890", "TEAM567890", issued)
}

func tokenOf(t *testing.T, key *ecdsa.PrivateKey, kid, team string, issued time.Time) string {
	t.Helper()
	return jwttest.Sign(t, key, fmt.Sprintf(`{"alg":"ES256","kid":%q}`, kid), fmt.Sprintf(`{"iss":%q,"iat":%d}`, team, issued.Unix()))
}

// client returns an ordinary HTTP/2 client that trusts the fake, and shows the certificates.
func client(t *testing.T, a *apnstest.Service, certificates ...tls.Certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: trusting(t, a, certificates...), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func trusting(t *testing.T, a *apnstest.Service, certificates ...tls.Certificate) *tls.Config {
	t.Helper()
	authority, err := os.ReadFile(a.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12, Certificates: certificates, NextProtos: []string{"h2"}}
}

// request returns a push without a mistake.
func (f fixture) request(t *testing.T) *http.Request {
	t.Helper()
	body := strings.NewReader(`{"aps":{"alert":{"loc-key":"MSG","loc-args":["a"]},"badge":0},"room_id":"!r"}`)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.URL+"/3/device/"+deviceToken, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Authorization":    {"bearer " + f.bearer},
		"Apns-Id":          {pushID},
		"Apns-Topic":       {bundle},
		"Apns-Push-Type":   {"alert"},
		"Apns-Priority":    {"10"},
		"Apns-Expiration":  {"0"},
		"Apns-Collapse-Id": {"room"},
	}
	return r
}

type response struct {
	status    int
	reason    string
	timestamp int64
	header    http.Header
	body      string
}

func (f fixture) do(t *testing.T, r *http.Request) (response, error) {
	t.Helper()
	answer, err := f.client.Do(r)
	if err != nil {
		return response{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return response{}, err
	}
	var decoded struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp"`
	}
	_ = json.Unmarshal(body, &decoded) // not every body is JSON
	return response{answer.StatusCode, decoded.Reason, decoded.Timestamp, answer.Header, string(body)}, nil
}

// expect sends a request and wants this answer.
func (f fixture) expect(t *testing.T, r *http.Request, status int, reason string) response {
	t.Helper()
	answer, err := f.do(t, r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.status != status || answer.reason != reason {
		t.Errorf("the answer is %d %s, want %d %s; violations: %q", answer.status, answer.reason, status, reason, f.Violations())
	}
	return answer
}

func TestAPNsTakesAGoodPush(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	answer := f.expect(t, f.request(t), http.StatusOK, "")
	if answer.body != "" || answer.header.Get("Apns-Id") != pushID {
		t.Errorf("the answer is %q with %v", answer.body, answer.header)
	}
	push, err := f.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if push.Token != deviceToken || push.Topic != bundle || push.PushType != "alert" || push.ID != pushID || push.CollapseID != "room" {
		t.Errorf("the push is %+v", push)
	}
	if push.Priority != 10 || push.Expiration != 0 || push.Connection != 1 || !push.Time.Equal(noon) {
		t.Errorf("the push is %+v", push)
	}
	if !strings.HasPrefix(string(push.Payload), `{"aps":`) || push.Header.Get("Authorization") != "bearer "+f.bearer {
		t.Errorf("the push is %+v", push)
	}
	if r := f.Requests(); len(r) != 1 || r[0].Status != 200 || r[0].Method != http.MethodPost || r[0].Path != "/3/device/"+deviceToken {
		t.Errorf("the requests are %+v", r)
	}
}

func TestAPNsMakesAnIDForAPushWithoutOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.request(t)
	for _, optional := range []string{"Apns-Id", "Apns-Priority", "Apns-Expiration", "Apns-Collapse-Id"} {
		r.Header.Del(optional)
	}
	if id := f.expect(t, r, http.StatusOK, "").header.Get("Apns-Id"); len(id) != len(pushID) {
		t.Errorf("the answer's apns-id is %q", id)
	}
	if p := f.Pushes()[0]; p.ID != "" || p.Priority != 10 || p.Expiration != -1 {
		t.Errorf("the push is %+v", p)
	}
}

func TestAPNsSpeaksNothingButHTTP2(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusting(t, f.Service).RootCAs, MinVersion: tls.VersionTLS12}}
	if _, err := f.do(t, f.request(t)); err == nil {
		t.Error("HTTP/1.1 is answered")
	}
	if n := f.Connections(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}

func TestAPNsTakes2000PushesOnOneConnection(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.expect(t, f.request(t), http.StatusOK, "")
	var senders sync.WaitGroup
	for range 20 {
		senders.Go(func() {
			for range 100 {
				answer, err := f.do(t, f.request(t))
				if err != nil || answer.status != http.StatusOK {
					t.Errorf("the answer is %d %s, %v", answer.status, answer.reason, err)
					return
				}
			}
		})
	}
	senders.Wait()
	if n := len(f.Pushes()); n != 2001 {
		t.Errorf("%d pushes were taken", n)
	}
	for range 2001 {
		if _, err := f.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if f.Connections() != 1 || f.ProviderTokens() != 1 || len(f.Violations()) != 0 {
		t.Errorf("%d connections, %d provider tokens, violations: %q", f.Connections(), f.ProviderTokens(), f.Violations())
	}
	if n := f.MaxStreams(); n < 1 || n > 20 {
		t.Errorf("at most %d streams were open", n)
	}
}
