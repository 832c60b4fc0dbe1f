package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

// logged returns a line as Caddy logs it.
func logged(t *testing.T, message string, fields ...zap.Field) string {
	t.Helper()
	line, err := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()).EncodeEntry(zapcore.Entry{Message: message}, fields)
	if err != nil {
		t.Fatal(err)
	}
	return line.String()
}

// ordinary returns a log without secrets. It has texts that look similar: configured values, hosts, hashes, words.
func ordinary(t *testing.T) string {
	t.Helper()
	return logged(t, "push delivered", zap.String("app", "org.example.ios"), zap.String("provider", "apns"), zap.String("pushkey_hash", "0a1b2c3d")) +
		logged(t, "push retry", zap.String("reason", "status"), zap.Error(errors.New(`Post "https://push.example.org": dial tcp 192.0.2.1:443: \u00e9 100% %zz`))) +
		logged(t, "handled request", zap.String("uri", "/_matrix/push/v1/notify"), zap.String("type", "m.room.message"), zap.String("sound", "default")) +
		"not a URL or a Notification or short\n" +
		"not JSON, and a backslash at its end \\\n"
}

// ofEverything returns a request with each kind of secret.
func ofEverything() string {
	return compose(map[string]any{
		"event_id": "$event:hs.test", "room_id": "!the-room:hs.test", "type": "m.room.message", "sender": "@the-user:hs.test", "prio": "high",
		"sender_display_name": `Alice "<&/>" \ Liddell`, "room_name": "A room with a view", "room_alias": "#alias:hs.test", "topic": "What is spoken about",
		"content": map[string]any{
			"msgtype": "m.text", "body": "Meet me\nat the corner", "formatted_body": "<b>Meet me</b>", "ciphertext": "AwgAEnACgAkLmt6qF84IK",
			"info": []any{map[string]any{"caption": "under the picture"}},
		},
	}, []device{
		{AppID: "org.example.ios", Pushkey: "lM7Fpcv5WJ4PkQYnUkGDTTsxN1fGwWWnGg3ND0xMCnQ=", Data: map[string]any{
			"default_payload": map[string]any{"aps": map[string]any{"alert": map[string]any{"title": "A separate title"}, "sound": "default"}},
		}},
		{AppID: "org.example.android", Pushkey: "fcm:APA91bToken-of_a-robot"},
		{AppID: "org.example.up", Pushkey: "https://push.example.org/up/tOpIc?key=%C3%A9+1"},
		{AppID: "org.example.web", Pushkey: "BCVxsr7N_eNgVRqvHtD0zTZsEc6", Data: map[string]any{
			"endpoint": "https://push.example.org/wpush/v2/gAAAAABmuchLonger2", "auth": "BTBZMqHH6r4Tts7J_aSIgg",
		}},
		{AppID: "org.example.web", Pushkey: `{"endpoint":"https://push.example.org/wpush/inner","keys":{"p256dh":"BPinnerKey_1","auth":"innerAuth-1"}}`},
	})
}

// plant is a text that must not be logged in any form, and the kind that is reported if it is.
type plant struct{ name, text, kind string }

// plants returns some of each kind.
func plants(t *testing.T, l *ledger) []plant {
	t.Helper()
	_, p8 := apnstest.NewKey(t)
	block, _ := pem.Decode(p8)
	body := strings.Split(string(p8), "\n")
	file := writeSecret(t, "credentials.json", mustMarshal(map[string]string{
		"private_key": string(p8), "private_key_id": "0123456789abcdef01", "client_secret": "GOCSPX-secret", "refresh_token": "1//refresh",
	}))
	l.sent([]byte(ofEverything()))
	l.configured("credentials_file " + file + "\ncertificate_password \"hunter22\"\noutbox redis redis://user:r3d1s-pass@127.0.0.1/\n")
	l.authorized(http.Header{"Authorization": {"bearer the.provider-token.of-this"}})
	l.authorized(http.Header{"Authorization": {"vapid t=a.vapid-token.of-this, k=" + "the-public-key-of-it"}})
	token, _ := base64.StdEncoding.DecodeString("lM7Fpcv5WJ4PkQYnUkGDTTsxN1fGwWWnGg3ND0xMCnQ=")
	return []plant{
		{"a device token", "lM7Fpcv5WJ4PkQYnUkGDTTsxN1fGwWWnGg3ND0xMCnQ=", aPushkey},
		{"a device token without padding", "lM7Fpcv5WJ4PkQYnUkGDTTsxN1fGwWWnGg3ND0xMCnQ", aPushkey},
		{"a device token in hexadecimal", hex.EncodeToString(token), aPushkey},
		{"a device token in capitals", strings.ToUpper(hex.EncodeToString(token)), aPushkey},
		{"a device token as bytes", fmt.Sprint(token), aPushkey},
		{"half a device token", "lM7Fpcv5WJ4PkQYnUkGD", aPushkey},
		{"a registration token", "fcm:APA91bToken-of_a-robot", aPushkey},
		{"a registration token in base64", base64.URLEncoding.EncodeToString([]byte("fcm:APA91bToken-of_a-robot")), aPushkey},
		{"a registration token in a URL", url.QueryEscape("fcm:APA91bToken-of_a-robot"), aPushkey},
		{"a UnifiedPush endpoint", "https://push.example.org/up/tOpIc?key=%C3%A9+1", aPushkey},
		{"its path", "/up/tOpIc?key=é+1", anEndpoint},
		{"its path, escaped in a URL", url.QueryEscape("/up/tOpIc?key=%C3%A9+1"), anEndpoint},
		{"a browser's key", "BCVxsr7N_eNgVRqvHtD0zTZsEc6", aPushkey},
		{"a browser's endpoint", "https://push.example.org/wpush/v2/gAAAAABmuchLonger2", anEndpoint},
		{"a browser's endpoint without its host", "/wpush/v2/gAAAAABmuchLonger2", anEndpoint},
		{"what an endpoint ends with", "gAAAAABmuchLonger2", anEndpoint},
		{"a browser's auth", "BTBZMqHH6r4Tts7J_aSIgg", aDeviceKey},
		{"an endpoint in a subscription", "/wpush/inner", anEndpoint},
		{"a key in a subscription", "BPinnerKey_1", aDeviceKey},
		{"an auth in a subscription", "innerAuth-1", aDeviceKey},
		{"an event_id", "$event:hs.test", anEventID},
		{"a room", "!the-room:hs.test", aText},
		{"a room's name", "A room with a view", aText},
		{"a room's alias", "#alias:hs.test", aText},
		{"a room's topic", "What is spoken about", aText},
		{"a sender", "@the-user:hs.test", aText},
		{"a display name that JSON escapes", `Alice "<&/>" \ Liddell`, aText},
		{"a body of two lines", "Meet me\nat the corner", aText},
		{"a line of a body", "at the corner", aText},
		{"a formatted body", "<b>Meet me</b>", aText},
		{"a ciphertext", "AwgAEnACgAkLmt6qF84IK", aText},
		{"a member of a list", "under the picture", aText},
		{"a default_payload", "A separate title", aText},
		{"a line of a private key", body[1], aCredential},
		{"a private key on one line", base64.StdEncoding.EncodeToString(block.Bytes), aCredential},
		{"a private key", string(p8), aCredential},
		{"the id of a private key", "0123456789abcdef01", aCredential},
		{"a client's secret", "GOCSPX-secret", aCredential},
		{"a refresh token", "1//refresh", aCredential},
		{"a certificate's password", "hunter22", aCredential},
		{"the password of Redis", "r3d1s-pass", aCredential},
		{"a provider token", "the.provider-token.of-this", aToken},
		{"a VAPID token", "a.vapid-token.of-this", aToken},
		{"a JWT that nobody noted", `eyJhbGciOiJFUzI1NiJ9.e30.c2ln`, aToken},
		{"a private key that nobody noted", "-----BEGIN EC PRIVATE KEY-----", aCredential},
		{"a mark", secretMark, "what must not be shown"},
	}
}

// forms returns the forms in which a text may get into a log.
func forms(t *testing.T, text string) map[string]string {
	t.Helper()
	html := mustMarshal(map[string]string{"text": text}) // with \u003c for <
	ascii := strings.NewReplacer("é", `\u00e9`, "/", `\/`).Replace(string(html))
	return map[string]string{
		"a field":                     logged(t, "m", zap.String("k", text)),
		"the message":                 logged(t, text),
		"an error that quotes":        logged(t, "m", zap.Error(fmt.Errorf("Post %q: EOF", text))),
		"an error that quotes ASCII":  logged(t, "m", zap.Error(fmt.Errorf("Post %+q: EOF", text))),
		"an error that quotes twice":  logged(t, "m", zap.Error(fmt.Errorf("%q", fmt.Sprintf("%q", text)))),
		"an object":                   logged(t, "m", zap.Any("k", map[string]string{"k": text})),
		"JSON in a field":             logged(t, "m", zap.ByteString("body", html)),
		"JSON that escapes all":       logged(t, "m", zap.String("body", ascii)),
		"JSON on a line":              string(html) + "\n",
		"what escapes each character": logged(t, "m", zap.String("body", everyEscaped(text))),
		"a URL":                       logged(t, "m", zap.String("url", "https://push.example.org/?x="+url.PathEscape(text))),
		"a crash":                     "panic: " + text + "\n\ngoroutine 1 [running]:\n",
	}
}

// everyEscaped returns a text with every character escaped, as JSON allows.
func everyEscaped(text string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&b, `\u%04x`, unit)
	}
	return b.String()
}

func TestASecretIsFoundInWhateverFormItIsLogged(t *testing.T) {
	t.Parallel()
	l := newLedger()
	planted := plants(t, l)
	l.standing()
	x := newIndex(l.secrets)
	for _, p := range planted {
		t.Run(p.name, func(t *testing.T) {
			for form, log := range forms(t, p.text) {
				found := fmt.Sprint(x.log([]byte(ordinary(t) + log + ordinary(t))))
				if !strings.Contains(found, p.kind) {
					t.Errorf("in %s, the text is not found: %s", form, log)
				}
				if strings.Contains(found, p.text) {
					t.Errorf("in %s, it is shown: %s", form, found)
				}
			}
		})
	}
}

func TestWhatIsNoSecretIsNotFound(t *testing.T) {
	t.Parallel()
	l := newLedger()
	plants(t, l)
	l.sent([]byte(compose(map[string]any{"sound": "default"}, []device{{Pushkey: "not a URL"}, {Pushkey: "https://"}, {Pushkey: "Notification"}, {Pushkey: "short"}})))
	l.standing()
	if found := newIndex(l.secrets).log([]byte(ordinary(t))); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}

// Clients of a push server behind the same Caddy request the paths of endpoints.
func TestTheLogOfAPushServersSiteMayHaveWhatItWasAskedForAlone(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.note(anEndpoint, "/up/a-topic")
	x := newIndex(l.secrets)
	for _, logger := range []string{"http.log.access", "http.log.access.log0", "http.handlers.reverse_proxy"} {
		line := `{"level":"debug","logger":"` + logger + `","msg":"m","request":{"host":"h","uri":"/up/a-topic","headers":{"User-Agent":["%s"]}}}`
		if found := x.log(fmt.Appendf(nil, line, "agent")); len(found) > 0 {
			t.Errorf("%s: found %q", logger, found)
		}
		if found := x.log(fmt.Appendf(nil, line, "/up/a-topic")); len(found) != 1 {
			t.Errorf("%s: found %q in another field", logger, found)
		}
	}
	for _, line := range []string{
		`{"logger":"http.handlers.matrix_push","request":{"uri":"/up/a-topic"}}`,
		`{"logger":"matrix_push","msg":"m","uri":"/up/a-topic"}`,
	} {
		if found := x.log([]byte(line)); len(found) != 1 {
			t.Errorf("found %q in %s", found, line)
		}
	}
}
