package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
)

// google is FCM and Google's token endpoint on loopback, with the key of a service account.
type google struct {
	*fcmtest.Service
	account string // the credentials file
}

func newGoogle(t *testing.T) *google {
	t.Helper()
	f := fcmtest.New(t, fcmtest.Options{})
	t.Cleanup(func() {
		for _, r := range f.Requests() {
			canaries.authorized(r.Header)
		}
	})
	return &google{Service: f, account: f.ServiceAccount(t)}
}

// app returns an app with the service account, and more options of the provider and of the app.
func (g *google) app(appID, provider, options string) string {
	if !strings.Contains(provider, "credentials_file ") {
		provider += "\ncredentials_file " + g.account
	}
	if !strings.Contains(options, "wait ") {
		options += "\nwait 20s"
	}
	return "app " + appID + " {\nfcm {\n" + provider + "\nendpoint " + g.URL + "\ntrusted_ca " + g.CAFile + "\nproxy none\n}\n" +
		options + "\n}\n"
}

// googleScene is an FCM, a gateway in front of it, and a homeserver that knows the gateway. There are two apps: org.example.android,
// and org.example.full with `content full`.
type googleScene struct {
	t       *testing.T
	fcm     *google
	gateway *process
	hs      *homeserver
}

func newGoogleScene(t *testing.T, more func(*google) string) googleScene {
	t.Helper()
	g := newGoogle(t)
	global := stateless + g.app("org.example.android", "", "") + g.app("org.example.full", "", "content full")
	if more != nil {
		global += more(g)
	}
	gateway := startGateway(t, global, "matrix_push")
	return googleScene{t, g, gateway, gateway.homeserver()}
}

// in returns the scene for a subtest.
func (s googleScene) in(t *testing.T) googleScene {
	s.t, s.hs = t, &homeserver{t: t, client: s.hs.client, url: s.hs.url}
	return s
}

// android is a device with Element Android.
func android(name string) device { return androidOf("org.example.android", name) }

// androidOf is a device with another app.
func androidOf(appID, name string) device {
	sum := sha256.Sum256([]byte(name))
	return device{
		AppID: appID, Pushkey: "fcm:APA91b" + base64.RawURLEncoding.EncodeToString(sum[:]), PushkeyTS: at(1_700_000_000),
		Data: map[string]any{"format": "event_id_only"},
	}
}

// sent returns all requests to send to a device, and wants n of them.
func (s googleScene) sent(d device, n int) (requests []fcmtest.Request) {
	s.t.Helper()
	for _, r := range s.fcm.Requests() {
		if r.Token == d.Pushkey {
			requests = append(requests, r)
		}
	}
	if len(requests) != n {
		s.t.Fatalf("%d messages were sent, want %d", len(requests), n)
	}
	return requests
}

// messages returns the accepted messages for a device. It wants n of them, without violations. After a 200, the message has already
// arrived.
func (s googleScene) messages(d device, n int) (messages []fcmtest.Message) {
	s.t.Helper()
	var violations []string
	for _, r := range s.fcm.Requests() {
		if r.Token != d.Pushkey {
			continue
		}
		violations = append(violations, r.Violations...)
		if r.Status == 200 {
			messages = append(messages, r.Message)
		}
	}
	if len(violations) > 0 {
		s.t.Errorf("a message breaks rules: %q", violations)
	}
	if len(messages) != n {
		s.t.Fatalf("%d messages arrived, want %d", len(messages), n)
	}
	return messages
}

// delivered notifies the gateway, which rejects nothing, and returns the device's only message.
func (s googleScene) delivered(body string, d device) fcmtest.Message {
	s.t.Helper()
	wantBody(s.t, s.hs.notify(body), nothingRejected)
	return s.messages(d, 1)[0]
}

// wantData wants exactly these data.
func wantData(t *testing.T, m fcmtest.Message, want string) {
	t.Helper()
	wantJSON(t, mustMarshal(m.Data), want)
}

// wantMessage wants exactly this message, except its ttl, which is what remains of the app's, and the expiration for Apple devices.
func wantMessage(t *testing.T, m fcmtest.Message, ttl time.Duration, want string) {
	t.Helper()
	message, _ := decode(t, m.Raw).(map[string]any)
	config, _ := message["android"].(map[string]any)
	text, _ := config["ttl"].(string)
	if got, err := time.ParseDuration(text); err != nil || got > ttl || got < ttl-time.Minute {
		t.Errorf("the ttl is %q, want %s", text, ttl)
	}
	delete(config, "ttl")
	if apns, ok := message["apns"].(map[string]any); ok {
		headers, _ := apns["headers"].(map[string]any)
		expiration, _ := headers["apns-expiration"].(string)
		if at, err := strconv.ParseInt(expiration, 10, 64); err != nil || time.Until(time.Unix(at, 0)) > ttl || time.Until(time.Unix(at, 0)) < ttl-time.Minute {
			t.Errorf("it expires at %q, want in %s", expiration, ttl)
		}
		delete(headers, "apns-expiration")
	}
	encoded, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, encoded, want)
}
