package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
)

// target is an app of a provider.
type target struct {
	name, appID string
	// register makes a device with this name, which becomes its pushkey.
	register func(w *postal, name string) (pushkey string)
	// got returns what the push service got for the device, with a line for each push.
	got func(t *testing.T, w *postal, name string) []string
	// condemn makes the push service answer that the device is gone.
	condemn func(w *postal, name string)
}

var (
	toApple = target{
		register: func(_ *postal, name string) string {
			pushkey, _ := deviceToken(name)
			return pushkey
		},
		got: func(t *testing.T, w *postal, name string) (lines []string) {
			_, path := deviceToken(name)
			for _, r := range w.apple.Requests() { // their violations fail the test anyway
				if r.Token == path {
					lines = append(lines, fmt.Sprintf("%s %d %s", r.PushType, r.Priority, sorted(t, r.Payload)))
				}
			}
			return lines
		},
		condemn: func(w *postal, name string) {
			_, path := deviceToken(name)
			w.apple.Answer(path, apnstest.Answer{Reason: "Unregistered"})
		},
	}
	toGoogle = target{
		register: func(_ *postal, name string) string { return registrationToken(name) },
		got: func(t *testing.T, w *postal, name string) (lines []string) {
			for _, r := range w.google.Requests() {
				if r.Token != registrationToken(name) {
					continue
				}
				if len(r.Violations) > 0 {
					t.Errorf("a message breaks rules: %q", r.Violations)
				}
				message, _ := decode(t, r.Raw).(map[string]any)
				delete(message, "token")
				android, _ := message["android"].(map[string]any)
				delete(android, "ttl") // differs from run to run
				lines = append(lines, string(sorted(t, mustMarshal(message))))
			}
			return lines
		},
		condemn: func(w *postal, name string) {
			w.google.Answer(registrationToken(name), fcmtest.ErrorFor("UNREGISTERED"))
		},
	}
	toBrowser = target{
		register: func(w *postal, name string) string {
			s := w.service.SubscribeDemo(name)
			return fmt.Sprintf(`{"endpoint":%q,"expirationTime":null,"keys":{"p256dh":%q,"auth":%q}}`, s.Endpoint, s.P256dh, s.Auth)
		},
		got:     func(t *testing.T, w *postal, name string) []string { return w.posted(t, "/webpush/"+name) },
		condemn: func(w *postal, name string) { w.service.Answer("/webpush/"+name, answerGone) },
	}
	toDistributor = target{
		register: func(w *postal, name string) string { return w.service.Endpoint(name) },
		got:      func(t *testing.T, w *postal, name string) []string { return w.posted(t, "/up/"+name) },
		condemn:  func(w *postal, name string) { w.service.Answer("/up/"+name, answerGone) },
	}
)

// named returns a target with another app.
func (to target) named(name, appID string) target {
	to.name, to.appID = name, appID
	return to
}

// deviceOf returns the name of a device that only this test uses.
func (to target) deviceOf(t *testing.T) string {
	return strings.NewReplacer("/", "-", " ", "-").Replace(t.Name() + "-" + to.name)
}

// targets returns the providers, each with its default content and with all content.
var targets = []target{
	toApple.named("apns", "org.example.ios"),
	toApple.named("apns full", "org.example.ios.full"),
	toGoogle.named("fcm", "org.example.android"),
	toGoogle.named("fcm full", "org.example.android.full"),
	toBrowser.named("webpush", "org.example.web"),
	toDistributor.named("unifiedpush", "org.example.up"),
	toDistributor.named("unifiedpush full", "org.example.up.full"),
}

func registrationToken(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "fcm:APA91b" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// posted returns the messages at an endpoint, each with its urgency, and with "replaces" if it replaces an earlier one.
func (w *postal) posted(t *testing.T, path string) (lines []string) {
	t.Helper()
	for _, m := range w.service.Messages(path) {
		if len(m.Violations) > 0 {
			t.Errorf("a push breaks rules: %q", m.Violations)
		}
		kind := m.Urgency
		if m.Topic != "" {
			kind += " replaces"
		}
		lines = append(lines, fmt.Sprintf("%s %s", kind, sorted(t, m.Body)))
	}
	return lines
}
