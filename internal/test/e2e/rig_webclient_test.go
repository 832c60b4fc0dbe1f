package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/autopushtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

// webClient is the web client of the quick start with its gateway, a push service that Firefox uses, and a homeserver.
type webClient struct {
	t       *testing.T
	service *autopushtest.Service
	gateway *process
	config  string
	hs      *clientServer
	// url is the page's address.
	url string
}

// newWebClient runs the quick start with more options for its app. Edits are texts in the client's files, by file, and what is in their
// place.
func newWebClient(t *testing.T, options string, edits map[string][]string) *webClient {
	t.Helper()
	w := &webClient{t: t, service: autopushtest.New(t, received), gateway: newProcess(t), hs: newClientServer(t)}
	w.config = strings.NewReplacer(
		"vapid_subject mailto:ops@example.org", "vapid_subject mailto:ops@example.org\ntrusted_ca "+w.service.CAFile+"\nallow_private 127.0.0.0/8\nproxy none\n{vapid}",
		"# ttl 24h", options+"\nwait 20s",
	).Replace(quickStart(t))
	if len(edits) > 0 {
		w.config = regexp.MustCompile(`root \S+`).ReplaceAllString(w.config, "root "+editedWebClient(t, edits))
	}
	w.gateway.start(w.configured(""))
	w.url = w.gateway.expand("http://localhost:{port}/")
	return w
}

// configured returns the configuration with an option about the VAPID key.
func (w *webClient) configured(vapid string) string {
	return strings.Replace(w.config, "{vapid}", vapid, 1)
}

// editedWebClient returns a folder with the web client, in whose files some texts are replaced. Each must be there.
func editedWebClient(t *testing.T, edits map[string][]string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("../../../examples/webclient")); err != nil {
		t.Fatal(err)
	}
	for file, pairs := range edits {
		path := filepath.Join(folder, file)
		text := string(readFile(t, path))
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) {
				t.Fatalf("%s has no %q", file, pairs[i])
			}
			text = strings.Replace(text, pairs[i], pairs[i+1], 1)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// firefox returns a Firefox that uses the push service.
func (w *webClient) firefox() *browsertest.Browser {
	w.t.Helper()
	return browsertest.Firefox(w.t, browsertest.PushService(w.service.WebSocket))
}

// What the page's sections show: data-state is for style and tests, and the message is for the user.
const (
	pushState      = "#notifications"
	accountState   = "#account"
	pushMessage    = "#notifications-message"
	accountMessage = "#account-message"
)

// waitState waits until a section is in a state, and the page is idle.
func waitState(p *browsertest.Page, section, state string) {
	p.Wait(`document.querySelector("#main").ariaBusy === "false" && document.querySelector("` + section + `").dataset.state === "` + state + `"`)
}

// turnOn presses the button that subscribes.
func turnOn(p *browsertest.Page) {
	waitState(p, pushState, "off")
	p.Click("#turn-on")
	waitState(p, pushState, "on")
}

// signIn signs in with the user's password.
func (w *webClient) signIn(p *browsertest.Page) { signIn(p, w.hs.URL, w.hs.user, w.hs.password) }

func signIn(p *browsertest.Page, server, user, password string) {
	p.Wait(`document.querySelector("#main").ariaBusy === "false"`)
	p.Type("#server", server)
	p.Type("#user", user)
	p.Type("#password", password)
	p.Type("#device-name", "Bob’s desk")
	p.Click("#sign-in button")
}

// signInWithToken signs in with the token of a session that another client has begun.
func signInWithToken(p *browsertest.Page, server, token string) {
	p.Wait(`document.querySelector("#main").ariaBusy === "false"`)
	p.Type("#server", server)
	p.Click(`input[value="token"]`)
	p.Type("#token", token)
	p.Click("#sign-in button")
}

// subscription returns the last subscription at the push service.
func (w *webClient) subscription() autopushtest.Subscription {
	w.t.Helper()
	all := w.service.Subscriptions()
	if len(all) == 0 {
		w.t.Fatal("the browser has not subscribed")
	}
	return all[len(all)-1]
}

// receives lets the homeserver send notifications, and waits until the browser has handled each of them without an error.
func (w *webClient) receives(notifications ...map[string]any) {
	w.t.Helper()
	for _, n := range notifications {
		sub := w.subscription()
		w.hs.notify(w.gateway.homeserver(), n)
		sub = w.service.WaitAcks(sub.Endpoint, len(sub.Messages)+1)
		if last := sub.Messages[len(sub.Messages)-1]; last.Ack != 100 {
			w.t.Errorf("the browser answers %d to a push", last.Ack)
		}
	}
}

// seen is a notification as a person reads it.
type seen struct{ title, body string }

// waitShown waits until the page's worker shows these notifications and no others.
func waitShown(p *browsertest.Page, want ...seen) {
	texts := make([]string, 0, len(want))
	for _, n := range want {
		texts = append(texts, n.title+": "+n.body)
	}
	p.Wait(`(async () => {
		const registration = await navigator.serviceWorker.getRegistration();
		const shown = (await registration.getNotifications()).map(({title, body}) => title + ": " + body);
		if (String(shown.sort()) === String(` + string(mustMarshal(texts)) + `.sort())) return true;
		throw new Error("the notifications are " + shown.join("; "));
	})()`)
}

// event returns an event of a room as a homeserver sends it, with other members than a message's.
func event(id, room, eventType string, content, more map[string]any) map[string]any {
	n := map[string]any{
		"event_id": id, "room_id": room, "type": eventType, "sender": "@alice:hs.test", "sender_display_name": "Alice Liddell",
		"room_name": "Mad Tea Party", "content": content, "prio": "high", "counts": map[string]any{"unread": 1},
	}
	for name, value := range more {
		if n[name] = value; value == nil {
			delete(n, name)
		}
	}
	return n
}

// says returns a text message.
func says(id, room, text string) map[string]any {
	return event(id, room, "m.room.message", map[string]any{"msgtype": "m.text", "body": text}, nil)
}
