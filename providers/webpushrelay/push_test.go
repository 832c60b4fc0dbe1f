package webpushrelay

import (
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/messagetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	const payload = "this would be the encrypted message"
	secret := unsigned(`{"aud":"https://push.example"}`)
	providertest.Run(t, providertest.Suite{
		New: func(t *testing.T, baseURL, caFile string) (providers.Provider, *providers.Push) {
			jwt := unsigned(aud(baseURL, time.Hour))
			m := message{base64.StdEncoding.EncodeToString([]byte(payload)), jwt, anyKey}
			p := push(t, baseURL+"/push/very-secret", m)
			p.Notification = messagetest.Alert()
			return newProvider(t, messagetest.Options(caFile), "127.0.0.1"), p
		},
		Rings:           func(_ *http.Request, body []byte) bool { return string(body) == payload },
		Secrets:         []string{"very-secret", payload, "a < b", secret[strings.LastIndexByte(secret, '.'):], strings.TrimRight(anyKey, "=")},
		NothingUnusable: true,
		Verdicts: []providertest.Verdict{
			{Name: "200 is delivered", Status: 200, Kind: providers.KindDelivered},
			{Name: "201 is delivered", Status: 201, Kind: providers.KindDelivered},
			{Name: "404 is suspected", Status: 404, Kind: providers.KindSuspected, Reason: "not_found"},
			{
				Name: "404 with autopush's word for a dead one is rejected", Status: 404,
				Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"code":404,"errno":102,"error":"Not Found"}`,
				Kind: providers.KindRejected, Reason: "not_found", Documented: "autopush-rs, docs/src/errors.md",
			},
			{Name: "410 is rejected", Status: 410, Kind: providers.KindRejected, Reason: "gone", Documented: "RFC 9110, section 15.5.11"},
			{Name: "400 is dropped", Status: 400, Kind: providers.KindDropped, Reason: "refused"},
			{Name: "401 is dropped", Status: 401, Kind: providers.KindDropped, Reason: jwtRefused},
			{Name: "403 is dropped", Status: 403, Kind: providers.KindDropped, Reason: jwtRefused},
			{Name: "413 is dropped", Status: 413, Kind: providers.KindDropped, Reason: "too_large"},
			{
				Name: "429 is for later", Status: 429, Header: http.Header{"Retry-After": {"7"}},
				Kind: providers.KindRetry, Cause: providers.CauseDevice, RetryAfter: 7 * time.Second,
			},
			{Name: "503 is for later", Status: 503, Kind: providers.KindRetry},
		},
	})
}

// recorded is what mod_push2 sent: see testdata.
type recorded struct {
	Client  string `xml:"urn:xmpp:push2:0 notification>client"`
	Payload string `xml:"notification>encrypted>payload"`
	JWT     struct {
		Token string `xml:",chardata"`
		Key   string `xml:"key,attr"`
	} `xml:"urn:xmpp:push2:0 notification>jwt"`
}

// readRecorded returns the stanza in testdata, and the iat and exp of its token.
func readRecorded(t *testing.T) (m message, issued, expires time.Time) {
	t.Helper()
	stanza, err := os.ReadFile("testdata/push2.xml")
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	if err := xml.Unmarshal(stanza, &r); err != nil || r.Client == "" || r.Payload == "" || r.JWT.Token == "" || r.JWT.Key == "" {
		t.Fatalf("the stanza is %+v, %v", r, err)
	}
	return message{r.Payload, r.JWT.Token, r.JWT.Key}, time.Unix(1795926135, 0), time.Unix(1795929735, 0)
}

func TestX26_ARecordedMessageIsSentAsItCame(t *testing.T) {
	t.Parallel()
	type received struct {
		*http.Request
		body []byte
	}
	requests := make(chan received, 1)
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- received{r, body}
		w.WriteHeader(http.StatusCreated)
	}))
	m, issued, expires := readRecorded(t)
	// The recorded client had given its server the aud of another push server than its endpoint's.
	p := newProvider(t, endpoint.Options{Options: network.Options{Endpoint: server.URL, TrustedCA: server.CAFile}}, "push.example.com")
	p.now = func() time.Time { return issued.Add(10 * time.Second) }
	for prio, urgency := range map[providers.Priority]string{providers.PrioHigh: "high", providers.PrioLow: "low"} {
		sent := push(t, "https://push.example.com/abc?d=e", m)
		sent.Notification, sent.Expires = &providers.Notification{Prio: prio}, issued.Add(24*time.Hour)
		if o := p.Push(t.Context(), sent); o.Kind != providers.KindDelivered {
			t.Fatalf("the outcome is %s (%s, %v)", o.Kind, o.Reason, o.Err)
		}
		r := <-requests
		if want, err := base64.StdEncoding.DecodeString(m.Payload); err != nil || string(r.body) != string(want) {
			t.Errorf("%d bytes arrived, want %d (%v)", len(r.body), len(want), err)
		}
		wantHeaders(t, r.Header, map[string]string{"Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream", "Urgency": urgency})
		if r.Method != http.MethodPost || r.RequestURI != "/abc?d=e" || r.Header["Topic"] != nil {
			t.Errorf("the request is %s %s, topic %q", r.Method, r.RequestURI, r.Header["Topic"])
		}
		if ttl, err := strconv.Atoi(r.Header.Get("TTL")); err != nil || ttl != int(expires.Sub(p.now())/time.Second) {
			t.Errorf("the TTL is %d (%v)", ttl, err)
		}
		token, key, _ := strings.Cut(r.Header.Get("Authorization"), ", k=")
		point, err := base64.RawURLEncoding.Strict().DecodeString(key)
		if token != "vapid t="+m.JWT || err != nil || len(point) != 65 || base64.StdEncoding.EncodeToString(point) != m.Key {
			t.Errorf("the token or its key changed: %d bytes, %v", len(point), err)
		}
	}
}

func wantHeaders(t *testing.T, got http.Header, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got.Get(name) != value {
			t.Errorf("the header %s is %q, want %q", name, got.Get(name), value)
		}
	}
}

func TestX26_TheSubscriberReadsTheSendersMessage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.SubscribeFor(b.sender.Key().PublicKey())
	for i, text := range []string{"<envelope xmlns='urn:xmpp:sce:1'/>", strings.Repeat("x", 3993)} { // a body of 4096 bytes
		messagetest.Want(t, b.provider.Push(t.Context(), push(t, sub.Endpoint, b.message(t, sub, text))), providers.KindDelivered, "delivered")
		messages := b.Messages(sub.Path)
		if len(messages) != i+1 {
			t.Fatalf("%d messages arrived", len(messages))
		}
		if m := messages[i]; string(m.Body) != text || !m.VAPID || m.Subject != "mailto:admin@example.net" || len(m.Violations) > 0 {
			t.Errorf("got %+v", m)
		}
	}
}

func TestX27_AMessageThatMayNotBeSentMakesNoRequestAndHasItsReason(t *testing.T) {
	t.Parallel()
	const at = "https://push.example.com"
	good := message{base64.StdEncoding.EncodeToString([]byte("message")), unsigned(aud(at, time.Hour)), anyKey}
	with := func(change func(m *message)) message {
		m := good
		change(&m)
		return m
	}
	claims := func(c string) message { return with(func(m *message) { m.JWT = unsigned(c) }) }
	tests := []struct {
		name, pushkey string
		m             message
		reason        string
	}{
		{"http", "http://push.example.com/very-secret", good, "bad_endpoint"},
		{"no URL", "very-secret", good, "bad_endpoint"},
		{"user information", "https://a:b@push.example.com/very-secret", good, "bad_endpoint"},
		{"a host that is not listed", "https://push.example.net/very-secret", good, hostNotAllowed},
		{"the host of a wildcard itself", "https://allowed.example/very-secret", good, hostNotAllowed},
		{"a host whose name only ends like a listed one", "https://notallowed.example/very-secret", good, hostNotAllowed},
		{"a private address", "https://10.1.2.3/very-secret", message{Payload: good.Payload}, "blocked"},
		{"a private name", "https://a.localhost/very-secret", message{Payload: good.Payload}, "blocked"},
		{"the aud of another origin", at + "/very-secret", claims(aud("https://push.example.net", time.Hour)), jwtAudience},
		{"the aud of another port", at + "/very-secret", claims(aud(at+":8443", time.Hour)), jwtAudience},
		{"the aud of another scheme", at + "/very-secret", claims(aud("http://push.example.com", time.Hour)), jwtAudience},
		{"an aud with a path", at + "/very-secret", claims(aud(at+"/very-secret", time.Hour)), jwtAudience},
		{"an aud that is a number", at + "/very-secret", claims(`{"aud":1,"exp":9999999999}`), jwtAudience},
		{"an expired token", at + "/very-secret", claims(aud(at, -time.Second)), jwtExpired},
		{"a token that expires now", at + "/very-secret", claims(aud(at, 0)), jwtExpired},
		{"a token without exp", at + "/very-secret", claims(`{"aud":"` + at + `"}`), jwtInvalid},
		{"a token without aud", at + "/very-secret", claims(`{"exp":9999999999}`), jwtInvalid},
		{"a token of two parts", at + "/very-secret", with(func(m *message) { m.JWT = "a.b" }), jwtInvalid},
		{"a token with a line break", at + "/very-secret", with(func(m *message) { m.JWT += "\r\nX: y" }), jwtInvalid},
		{"a token with padding", at + "/very-secret", with(func(m *message) { m.JWT += "=" }), jwtInvalid},
		{"a token of 5 kB", at + "/very-secret", claims(aud(at, time.Hour) + strings.Repeat(" ", 5000)), jwtInvalid},
		{"a token without a key", at + "/very-secret", with(func(m *message) { m.Key = "" }), jwtInvalid},
		{"a key without a token", at + "/very-secret", with(func(m *message) { m.JWT = "" }), jwtInvalid},
		{"a key that is too short", at + "/very-secret", with(func(m *message) { m.Key = "BAAA" }), jwtInvalid},
		{"a payload that is no base64", at + "/very-secret", with(func(m *message) { m.Payload = "<very-secret>" }), badMessage},
		{"a payload of 4097 bytes", at + "/very-secret", with(func(m *message) {
			m.Payload = base64.StdEncoding.EncodeToString(make([]byte, 4097))
		}), "too_large"},
	}
	p := newProvider(t, endpoint.Options{Options: network.Options{Proxy: "none"}},
		"push.example.com", "*.allowed.example", "10.1.2.3", "a.localhost")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sent := push(t, tt.pushkey, tt.m)
			o := p.Push(t.Context(), sent)
			messagetest.Want(t, o, providers.KindDropped, tt.reason)
			if o.Err == nil || strings.Contains(o.Err.Error(), "very-secret") || strings.Contains(o.Err.Error(), "10.1.2.3") {
				t.Errorf("the error is %v", o.Err)
			}
			previewed := p.Preview(sent)
			messagetest.Want(t, previewed.Outcome, providers.KindDropped, tt.reason)
			if len(previewed.Requests) > 0 {
				t.Errorf("the preview shows %d requests", len(previewed.Requests))
			}
		})
	}
}

func TestX28_AServiceThatRefusesTheSendersTokenIsNobodysFault(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, answer := range map[string]providertest.Answer{
		"401": {Status: 401},
		"403": {Status: 403},
		"another key, as Apple says it": {
			Status: 400, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"reason":"VapidPkHashMismatch"}`,
		},
		"a bad subject, as Apple says it": {
			Status: 403, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"reason":"BadJwtToken"}`,
		},
		"another key, as autopush says it": {
			Status: 401, Body: `{"code":401,"errno":109,"error":"Unauthorized","message":"VAPID public key mismatch"}`,
		},
		"another key, as Google says it": {
			Status: 403, Body: "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sub := b.Subscribe()
			b.Answer(sub.Endpoint, answer)
			o := b.provider.Push(t.Context(), push(t, sub.Endpoint, b.message(t, sub, "text")))
			messagetest.Want(t, o, providers.KindDropped, jwtRefused)
			if o.WrongKey || o.RetryAfter > 0 {
				t.Errorf("the outcome is %+v", o)
			}
		})
	}
}

func TestX28_AnEndpointThatIsGoneIsRejected(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.Subscribe()
	b.Answer(sub.Endpoint, providertest.Answer{Status: http.StatusGone})
	o := b.provider.Push(t.Context(), push(t, sub.Endpoint, b.message(t, sub, "text")))
	messagetest.Want(t, o, providers.KindRejected, "gone")
	if o.Doubtful || o.Unusable {
		t.Errorf("the outcome is %+v", o)
	}
}
