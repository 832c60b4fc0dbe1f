package autopushtest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/matrix-push/caddy-matrix-push/internal/test/autopushtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/jwttest"
)

// browser is a browser that sends only what a test has it send.
type browser struct {
	t      *testing.T
	socket *websocket.Conn
	uaid   string
}

// object is a message between browser and service.
type object = map[string]any

// connect connects a browser, and says hello with a name; empty for none.
func connect(t *testing.T, s *autopushtest.Service, uaid string) *browser {
	t.Helper()
	socket, _, err := websocket.Dial(t.Context(), s.WebSocket, &websocket.DialOptions{Subprotocols: []string{"push-notification"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.CloseNow() })
	b := &browser{t: t, socket: socket}
	hello := object{"messageType": "hello", "use_webpush": true, "broadcasts": object{}}
	if uaid != "" {
		hello["uaid"] = uaid
	}
	b.send(hello)
	answer := b.read("hello")
	b.uaid, _ = answer["uaid"].(string)
	if answer["status"] != 200.0 || answer["use_webpush"] != true || b.uaid == "" {
		t.Fatalf("hello is answered with %v", answer)
	}
	return b
}

func (b *browser) send(m any) {
	b.t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.socket.Write(b.t.Context(), websocket.MessageText, data); err != nil {
		b.t.Fatal(err)
	}
}

// read reads the next message, which must be of a type.
func (b *browser) read(messageType string) object {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	_, data, err := b.socket.Read(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	var m object
	if err := json.Unmarshal(data, &m); err != nil {
		b.t.Fatal(err)
	}
	if got, _ := m["messageType"].(string); got != messageType {
		b.t.Fatalf("the service sends %v, not a %q", m, messageType)
	}
	return m
}

// register makes a subscription for an application server; empty for any.
func (b *browser) register(channel, key string) (endpoint string) {
	b.t.Helper()
	b.send(object{"messageType": "register", "channelID": channel, "key": key})
	answer := b.read("register")
	if answer["status"] != 200.0 || answer["channelID"] != channel {
		b.t.Fatalf("register is answered with %v", answer)
	}
	endpoint, _ = answer["pushEndpoint"].(string)
	return endpoint
}

// wantClosed wants that the service closes the connection with a reason.
func (b *browser) wantClosed(reason string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	_, data, err := b.socket.Read(ctx)
	if websocket.CloseStatus(err) != websocket.StatusInternalError || !strings.Contains(err.Error(), reason) {
		b.t.Errorf("the service sends %s, %v, and does not close because of %q", data, err, reason)
	}
}

// server is an application server.
type server struct {
	t      *testing.T
	origin string
	client *http.Client
	key    *ecdsa.PrivateKey
	public string // in base64url
}

func newServer(t *testing.T, s *autopushtest.Service) *server {
	t.Helper()
	ca, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &server{t, s.Origin, &http.Client{Transport: transport}, key, base64.RawURLEncoding.EncodeToString(point)}
}

// vapid returns an Authorization header.
func (s *server) vapid(audience string, expires time.Duration) string {
	claims := fmt.Sprintf(`{"aud":%q,"exp":%d,"sub":"mailto:ops@example.org"}`, audience, time.Now().Add(expires).Unix())
	return "vapid t=" + jwttest.Sign(s.t, s.key, `{"alg":"ES256","typ":"JWT"}`, claims) + ", k=" + s.public
}

// push sends a message that is right except for what changes do to it.
func (s *server) push(endpoint, body string, changes ...func(*http.Request)) (
	status int, errno float64, message string, header http.Header,
) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"TTL": "60", "Urgency": "high", "Content-Encoding": "aes128gcm", "Authorization": s.vapid(s.origin, time.Hour),
	} {
		r.Header.Set(name, value)
	}
	for _, change := range changes {
		change(r)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var word struct {
		Code    int
		Errno   float64
		Message string
	}
	if resp.StatusCode != http.StatusCreated {
		if err := json.Unmarshal(answer, &word); err != nil || word.Code != resp.StatusCode {
			s.t.Errorf("the answer is %d %s", resp.StatusCode, answer)
		}
	}
	return resp.StatusCode, word.Errno, word.Message, resp.Header
}

// set returns a change that sets a header, or removes it.
func set(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if r.Header.Del(name); value != "" {
			r.Header.Set(name, value)
		}
	}
}

const (
	channel = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
	second  = "1f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
	third   = "2f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
)
