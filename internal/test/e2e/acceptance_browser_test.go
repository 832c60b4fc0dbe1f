package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/autopushtest"
)

// A real Firefox, V01 and V02 of docs/acceptance.md.

func TestV01_FirefoxDecryptsAPushAndShowsItWhileThePageIsClosed(t *testing.T) {
	t.Parallel()
	s := newBrowserScene(t)
	page, d := s.subscribe("localhost", "org.example.web")
	address := page.URL()
	page.Close()
	const text = "Grüße vom Fährhaus 🦊, <b>wohlbehalten</b>"
	wantBody(t, s.hs.notify(compose(map[string]any{
		"event_id": "$1", "room_id": "!room:hs.test", "type": "m.room.message", "sender": "@alice:hs.test",
		"sender_display_name": "Zoë", "room_name": "Fährhaus-Runde", "prio": "high",
		"content": map[string]any{"msgtype": "m.text", "body": text},
	}, []device{d})), nothingRejected)

	sub := s.subscription(d, 1)
	if m := sub.Messages[0]; m.Ack != 100 || m.Subject != "mailto:ops@example.org" || m.Header.Get("Urgency") != "high" {
		t.Errorf("the browser answers %d to a push of %q with urgency %q", m.Ack, m.Subject, m.Header.Get("Urgency"))
	}
	if key := s.applicationServerKey("org.example.web"); sub.Key != key {
		t.Errorf("the subscription is for the key %s, the gateway's is %s", sub.Key, key)
	}
	shown := s.firefox.Open(address).WaitNotifications(1)
	if len(shown) != 1 || shown[0].Title != "Zoë in Fährhaus-Runde" || shown[0].Body != text {
		t.Errorf("Firefox shows %d notifications, and not the text of the event", len(shown))
	}
	if refused := s.service.Refusals(); len(refused) > 0 {
		t.Errorf("the push service refused %v", refused)
	}
}

// applicationServerKey returns the key that the GET document names for an app.
func (s browserScene) applicationServerKey(appID string) string {
	s.t.Helper()
	r, err := s.hs.do(http.MethodGet, s.gateway.url(), "")
	if err != nil {
		s.t.Fatal(err)
	}
	var document struct {
		WebPush map[string]struct {
			ApplicationServerKey string `json:"application_server_key"`
		} `json:"webpush"`
	}
	if err := json.Unmarshal([]byte(r.Body), &document); err != nil {
		s.t.Fatal(err)
	}
	return document.WebPush[appID].ApplicationServerKey
}

// Firefox gives a subscription up after 16 pushes without a notification: dom.push.maxQuotaPerSubscription.
func TestV02_BadgeUpdatesDoNotCostABrowserItsSubscription(t *testing.T) {
	t.Parallel()
	s := newBrowserScene(t)
	page, kept := s.subscribe("localhost", "org.example.web")
	other, lost := s.subscribe("127.0.0.1", "org.example.badges")
	address := page.URL()
	page.Close()
	other.Close()

	for unread := range 20 {
		wantBody(t, s.hs.notify(badge(unread, kept, lost)), nothingRejected)
		s.subscription(lost, unread+1) // the next one would replace it before Firefox sees it
	}
	var want []string
	for i := range 10 {
		text := fmt.Sprintf("Nachricht %d vom Leuchtturm", i)
		want = append(want, text)
		wantBody(t, s.hs.notify(compose(map[string]any{
			"event_id": fmt.Sprint("$", i), "room_id": "!room:hs.test", "type": "m.room.message", "sender": "@alice:hs.test",
			"sender_display_name": "Alice", "room_name": "The room", "prio": "high",
			"content": map[string]any{"msgtype": "m.text", "body": text},
		}, []device{kept})), nothingRejected)
	}

	// The control: with `badges on`, Firefox gives the subscription up because of its quota.
	endpoint, _ := lost.Data["endpoint"].(string)
	gone := s.service.Wait(endpoint, func(sub autopushtest.Subscription) bool { return sub.Unregistered != 0 })
	if gone.Unregistered != 201 || len(gone.Messages) != 20 {
		t.Errorf("after %d pushes, it was given up with code %d", len(gone.Messages), gone.Unregistered)
	}
	wantBody(t, s.hs.notify(alert("$lost", lost)), rejecting(lost.Pushkey))

	sub := s.subscription(kept, 10)
	for i, m := range sub.Messages {
		if m.Ack != 100 {
			t.Errorf("the browser answers %d to message %d", m.Ack, i)
		}
	}
	if sub.Unregistered != 0 || len(sub.Messages) != 10 {
		t.Errorf("after %d pushes, it was given up with code %d", len(sub.Messages), sub.Unregistered)
	}
	var shown []string
	for _, n := range s.firefox.Open(address).WaitNotifications(10) {
		shown = append(shown, n.Body)
	}
	if !slices.Equal(shown, want) {
		t.Errorf("Firefox shows %d notifications: %s", len(shown), strings.Join(shown, ", "))
	}
	wantBody(t, s.hs.notify(alert("$kept", kept)), nothingRejected)
}
