package autopushtest_test

import (
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	webpush "github.com/SherClockHolmes/webpush-go"

	"github.com/matrix-push/caddy-matrix-push/internal/test/autopushtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

// worker shows each push, and renews a subscription that the browser lost.
const worker = `
self.addEventListener("push", event => event.waitUntil(self.registration.showNotification(event.data.text())));
self.addEventListener("pushsubscriptionchange", event => event.waitUntil(
	self.registration.pushManager.subscribe({userVisibleOnly: true, applicationServerKey: new URL(location).searchParams.get("key")})
));`

func TestARealFirefoxUsesIt(t *testing.T) {
	t.Parallel()
	s := autopushtest.New(t)
	firefox := browsertest.Firefox(t, browsertest.PushService(s.WebSocket))
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/worker.js" {
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, worker)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>A page</title>")
	}))
	t.Cleanup(site.Close)
	address := strings.Replace(site.URL, "127.0.0.1", "localhost", 1)
	app := newServer(t, s)
	page := firefox.Open(address)
	var sub webpush.Subscription
	page.Evaluate(`navigator.serviceWorker.register("worker.js?key=`+app.public+`")
		.then(() => navigator.serviceWorker.ready)
		.then(r => r.pushManager.subscribe({userVisibleOnly: true, applicationServerKey: "`+app.public+`"}))`, &sub)

	// A message waits while Firefox is not running.
	firefox.Quit()
	s.WaitConnected(0)
	app.send(sub, "while you were away")
	firefox.Start()
	if m := s.WaitAcks(sub.Endpoint, 1).Messages[0]; m.Ack != 100 {
		t.Errorf("Firefox answers %d", m.Ack)
	}
	page = firefox.Open(address)
	if shown := page.WaitNotifications(1); len(shown) != 1 || shown[0].Title != "while you were away" {
		t.Errorf("Firefox shows %d notifications", len(shown))
	}

	// Firefox subscribes again if the service forgets it, and the page may give that subscription up.
	s.Forget()
	const subscription = `navigator.serviceWorker.ready.then(r => r.pushManager.getSubscription())`
	page.Wait(subscription + `.then(s => s && s.endpoint !== ` + quote(sub.Endpoint) + `)`)
	page.Evaluate(subscription, &sub)
	app.send(sub, "again")
	if m := s.WaitAcks(sub.Endpoint, 1).Messages[0]; m.Ack != 100 {
		t.Errorf("Firefox answers %d", m.Ack)
	}
	page.Evaluate(subscription+`.then(s => s.unsubscribe())`, nil)
	gone := s.Wait(sub.Endpoint, func(sub autopushtest.Subscription) bool { return sub.Unregistered != 0 })
	if gone.Unregistered != 200 {
		t.Errorf("it was given up with the code %d", gone.Unregistered)
	}
}

// send encrypts and sends a text with a library that is not the gateway's.
func (s *server) send(sub webpush.Subscription, text string) {
	s.t.Helper()
	private, err := s.key.ECDH()
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := webpush.SendNotificationWithContext(s.t.Context(), []byte(text), &sub, &webpush.Options{
		HTTPClient: s.client, TTL: 60, Subscriber: "ops@example.org", VAPIDPublicKey: s.public, VAPIDPrivateKey: encoded(private),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		s.t.Errorf("the answer is %d", resp.StatusCode)
	}
}

func encoded(key *ecdh.PrivateKey) string { return base64.RawURLEncoding.EncodeToString(key.Bytes()) }

// quote returns a text as a JavaScript string.
func quote(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}
