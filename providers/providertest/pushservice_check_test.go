package providertest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/jwttest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// expectRefusal sends a request with one mistake, and requires that only this mistake is refused and recorded.
func expectRefusal(t *testing.T, f fixture, r *http.Request, status int, violation string) {
	t.Helper()
	path := r.URL.Path
	answer := f.do(r)
	if answer.StatusCode != status {
		t.Errorf("the answer is %s, want %d", answer.Status, status)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(body), violation) {
		t.Errorf("the answer says %q, want %q", body, violation)
	}
	messages := f.Messages(path)
	if len(messages) != 1 {
		t.Fatalf("%d messages were recorded", len(messages))
	}
	if v := messages[0].Violations; len(v) != 1 || !strings.Contains(v[0], violation) {
		t.Errorf("the violations are %q, want %q", v, violation)
	}
	if messages[0].Status != status {
		t.Errorf("the recorded status is %d", messages[0].Status)
	}
}

func TestEveryBrokenRuleOfAWebPushIsCaught(t *testing.T) {
	t.Parallel()
	header := func(name string, values ...string) func(*testing.T, fixture, *http.Request) {
		return func(_ *testing.T, _ fixture, r *http.Request) {
			delete(r.Header, name)
			if len(values) > 0 {
				r.Header[name] = values
			}
		}
	}
	body := func(change func([]byte) []byte) func(*testing.T, fixture, *http.Request) {
		return func(t *testing.T, f fixture, r *http.Request) {
			t.Helper()
			r.Body = io.NopCloser(strings.NewReader(string(change([]byte(f.encrypted(t, "hello"))))))
		}
	}
	set := func(at int, b ...byte) func(*testing.T, fixture, *http.Request) {
		return body(func(body []byte) []byte { copy(body[at:], b); return body })
	}
	tests := []struct {
		name      string
		change    func(*testing.T, fixture, *http.Request)
		status    int
		violation string
	}{
		{"GET", func(_ *testing.T, _ fixture, r *http.Request) { r.Method = http.MethodGet }, 405, "method"},
		{"no TTL", header("Ttl"), 400, "TTL"},
		{"a negative TTL", header("Ttl", "-1"), 400, "TTL"},
		{"a TTL with a fraction", header("Ttl", "1.5"), 400, "TTL"},
		{"a TTL with a unit", header("Ttl", "60s"), 400, "TTL"},
		{"two TTLs", header("Ttl", "60", "61"), 400, "more than one Ttl"},
		{"an unknown Urgency", header("Urgency", "urgent"), 400, "Urgency"},
		{"an empty Urgency", header("Urgency", ""), 400, "Urgency"},
		{"a Topic of 33 characters", header("Topic", strings.Repeat("a", 33)), 400, "Topic"},
		{"a Topic with a character beyond base64url", header("Topic", "room:1"), 400, "Topic"},
		{"an empty Topic", header("Topic", ""), 400, "Topic"},
		{"no Content-Encoding", header("Content-Encoding"), 400, "Content-Encoding"},
		{"the old Content-Encoding", header("Content-Encoding", "aesgcm"), 400, "Content-Encoding"},
		{"an empty body", body(func([]byte) []byte { return nil }), 400, "shorter than the header"},
		{"a body without a record", body(func(b []byte) []byte { return b[:86] }), 400, "does not decrypt"},
		{"a plain body", body(func([]byte) []byte { return []byte(`{"notification":{"event_id":"$e"}}`) }), 400, "keyid"},
		{"a record size below 18", set(16, 0, 0, 0, 17), 400, "less than 18"},
		{"a record size that the record fills", set(16, 0, 0, 1, 170), 400, "not greater"},
		{"a keyid of another length", set(20, 64), 400, "keyid"},
		{"a keyid beside the curve", body(func(b []byte) []byte {
			b[85] ^= 1 // any fixed value is sometimes the right one
			return b
		}), 400, "keyid"},
		{"another salt", set(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16), 400, "does not decrypt"},
		{"a tampered record", set(100, 1, 2, 3, 4, 5, 6, 7, 8), 400, "does not decrypt"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			r := f.webPush(t)
			test.change(t, f, r)
			expectRefusal(t, f, r, test.status, test.violation)
		})
	}
}

func TestABodyBeyond4096BytesIsTooLarge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	most := `{"notification":{"event_id":"` + strings.Repeat("e", 4096-32) + `"}}`
	if answer := f.do(f.unifiedPush(t, most)); answer.StatusCode != http.StatusCreated {
		t.Errorf("%d bytes are answered %s", len(most), answer.Status)
	}
	if answer := f.do(f.unifiedPush(t, most+" ")); answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%d bytes are answered %s", len(most)+1, answer.Status)
	}
	r := f.webPush(t)
	r.Body = io.NopCloser(strings.NewReader(f.encrypted(t, "hello") + strings.Repeat("e", 4096)))
	if answer := f.do(r); answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a web push of 4608 bytes is answered %s", answer.Status)
	}
}

func TestTheOneDeviceOfAUnifiedPushIsTaken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.unifiedPush(t, `{"notification":{"event_id":"$e","devices":[{"app_id":"a","data":{"client_name":"c"}}]}}`)
	if answer := f.do(r); answer.StatusCode != http.StatusCreated {
		t.Errorf("the answer is %s", answer.Status)
	}
}

func TestEveryBrokenRuleOfAUnifiedPushIsCaught(t *testing.T) {
	t.Parallel()
	const good = `{"notification":{"event_id":"$e"}}`
	tests := []struct {
		name, body, header, value, violation string
	}{
		{"an empty body", "", "", "", `"notification"`},
		{"a body that is not JSON", "hello", "", "", `"notification"`},
		{"a body of two JSON values", good + good, "", "", `"notification"`},
		{"a body without a notification", `{"event_id":"$e"}`, "", "", `"notification"`},
		{"a notification that is not an object", `{"notification":"$e"}`, "", "", `"notification"`},
		{"devices in the notification", `{"notification":{"devices":[]}}`, "", "", `"devices"`},
		{"two devices", `{"notification":{"devices":[{"app_id":"a"},{"app_id":"b"}]}}`, "", "", `"devices"`},
		{"a device that is not one", `{"notification":{"devices":[1]}}`, "", "", `"devices"`},
		{"a device with its pushkey", `{"notification":{"devices":[{"app_id":"a","pushkey":"k"}]}}`, "", "", "pushkey"},
		{"a device with its keys", `{"notification":{"devices":[{"app_id":"a","data":{"auth":"a"}}]}}`, "", "", `"auth"`},
		{"devices beside the notification", `{"notification":{},"devices":[]}`, "", "", `"devices"`},
		{"another Content-Encoding", good, "Content-Encoding", "gzip", "Content-Encoding"},
		{"no TTL", good, "Ttl", "", "TTL"},
		{"an unknown Urgency", good, "Urgency", "urgent", "Urgency"},
		{"a bad Authorization", good, "Authorization", "Bearer token", "VAPID"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			r := f.unifiedPush(t, test.body)
			status := http.StatusBadRequest
			if test.header != "" {
				r.Header[test.header] = []string{test.value}
			}
			if test.header == "Authorization" {
				status = http.StatusForbidden
			}
			expectRefusal(t, f, r, status, test.violation)
		})
	}
}

// application is an application server that signs whatever a test wants.
type application struct {
	key *ecdsa.PrivateKey
	k   string
}

func newApplication(t *testing.T) application {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return application{key, base64.RawURLEncoding.EncodeToString(point)}
}

func TestEveryBrokenRuleOfVAPIDIsCaught(t *testing.T) {
	t.Parallel()
	const es256 = `{"alg":"ES256","typ":"JWT"}`
	claims := func(aud string, exp time.Time, more string) string {
		return fmt.Sprintf(`{"aud":%q,"exp":%d%s}`, aud, exp.Unix(), more)
	}
	hour := noon.Add(time.Hour)
	good := claims(origin, hour, "")
	a, stranger := newApplication(t), newApplication(t)
	vapid := func(header, claims string) string {
		return "vapid t=" + jwttest.Sign(t, a.key, header, claims) + ", k=" + a.k
	}
	token := jwttest.Sign(t, a.key, es256, good)
	short := token[:len(token)-2]
	tests := []struct {
		name, authorization, violation string
	}{
		{"another scheme", "WebPush " + token, "scheme"},
		{"no key", "vapid t=" + token, "t or k"},
		{"no token", "vapid k=" + a.k, "t or k"},
		{"two keys", "vapid t=" + token + ", k=" + a.k + ", k=" + stranger.k, "twice"},
		{"a key that is not base64url", "vapid t=" + token + ", k=" + a.k + "=", "k is not base64url"},
		{"a key beside the curve", "vapid t=" + token + ", k=" + "BAAA" + a.k[4:], "point"},
		{"a token of two parts", "vapid t=" + token[:strings.LastIndexByte(token, '.')] + ", k=" + a.k, "not a JWT"},
		{"a token that is not base64url", "vapid t=" + token + "==, k=" + a.k, "base64url"},
		{"a signature of 63 bytes", "vapid t=" + short + ", k=" + a.k, "64 bytes"},
		{"a signature by another", "vapid t=" + jwttest.Sign(t, stranger.key, es256, good) + ", k=" + a.k, "signature is wrong"},
		{"the key of another application server", "vapid t=" + jwttest.Sign(t, stranger.key, es256, good) + ", k=" + stranger.k, "made for"},
		{"no algorithm", vapid(`{"alg":"none"}`, good), "ES256"},
		{"another algorithm", vapid(`{"alg":"HS256"}`, good), "ES256"},
		{"another type", vapid(`{"alg":"ES256","typ":"JWS"}`, good), "typ"},
		{"an audience with a slash", vapid(es256, claims(origin+"/", hour, "")), "aud"},
		{"another audience", vapid(es256, claims("https://other.example", hour, "")), "aud"},
		{"a list as the audience", vapid(es256, fmt.Sprintf(`{"aud":[%q],"exp":%d}`, origin, hour.Unix())), "aud"},
		{"no expiry", vapid(es256, fmt.Sprintf(`{"aud":%q}`, origin)), "exp"},
		{"an expiry with a fraction", vapid(es256, fmt.Sprintf(`{"aud":%q,"exp":%d.5}`, origin, hour.Unix())), "exp"},
		{"an expiry that is over", vapid(es256, claims(origin, noon, "")), "exp is in the past"},
		{"an expiry in more than 24 hours", vapid(es256, claims(origin, noon.Add(24*time.Hour+time.Second), "")), "24 hours"},
		{"a bare address as the subject", vapid(es256, claims(origin, hour, `,"sub":"a@example.org"`)), "sub"},
		{"a subject without an address", vapid(es256, claims(origin, hour, `,"sub":"mailto:"`)), "sub"},
		{"a subject with a display name", vapid(es256, claims(origin, hour, `,"sub":"mailto:A <a@example.org>"`)), "sub"},
		{"a plain HTTP subject", vapid(es256, claims(origin, hour, `,"sub":"http://example.org"`)), "sub"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.sub = f.SubscribeFor(a.k)
			r := f.webPush(t)
			r.Header.Set("Authorization", test.authorization)
			expectRefusal(t, f, r, http.StatusForbidden, test.violation)
		})
	}
	t.Run("none of them is broken", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.sub = f.SubscribeFor(a.k)
		r := f.webPush(t)
		r.Header.Set("Authorization", vapid(es256, claims(origin, noon.Add(24*time.Hour), `,"sub":"https://example.org"`)))
		if answer := f.do(r); answer.StatusCode != http.StatusCreated {
			t.Errorf("the answer is %s", answer.Status)
		}
	})
}

func TestVAPIDIsMissedWhereItIsNeeded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		required   bool
		restricted bool
		status     int
	}{
		{"a restricted subscription needs it", false, true, 401},
		{"a service may need it", true, false, 401},
		{"otherwise it may be left out", false, false, 201},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.PushService = providertest.NewPushService(providertest.PushServiceOptions{Origin: origin, RequireVAPID: test.required})
			f.sub = f.Subscribe()
			if test.restricted {
				f.sub = f.SubscribeFor(newApplication(t).k)
			}
			r := f.webPush(t)
			r.Header.Del("Authorization")
			if answer := f.do(r); answer.StatusCode != test.status {
				t.Errorf("the answer is %s, want %d", answer.Status, test.status)
			}
		})
	}
}
