package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

// Chromium has no push service here. It gets what the gateway encrypts, from the golden files of the provider.
func TestV08_ChromiumShowsEachPushOfTheGateway(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	b := browsertest.Chromium(t)
	p := b.Open(w.url)
	waitState(p, pushState, "off")
	signInWithToken(p, w.hs.URL, w.hs.newToken())
	waitState(p, accountState, "signed-in")
	for _, tt := range []struct {
		push string
		want seen
	}{
		{"full.json", seen{"Alice in Ops", "a < b"}},
		{"full_without_counts.json", seen{"Alice in Ops", "a < b"}},
		{"membership.json", seen{"Alice in Ops", "Invites you to Ops"}},
		{"default_payload.json", seen{"Alice in Ops", "a < b"}},
		{"reduced.json", seen{"New message", "Open your client to read it"}},
		{"badge_zero.json", seen{"No unread messages", ""}},
	} {
		payload := string(readFile(t, filepath.Join("../../../providers/webpush/testdata", tt.push)))
		deliver(b, p, strings.Replace(payload, "$event", "$"+tt.push, 1), tt.want) // an event is shown once
		waitShown(p, tt.want)
	}
	for _, odd := range []string{"", "not JSON", "[]", `{"unread":"many"}`} {
		deliver(b, p, odd, seen{"Nothing new", ""})
		waitShown(p, seen{"Nothing new", ""})
	}
}

// Each push has the session ID of the pusher that it was for. An earlier account's push may arrive late.
func TestV08_ChromiumShowsNothingOfAnotherSession(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", map[string][]string{"worker.js": {"navigator.setAppBadge(unread)", "registration.showNotification(`Number ${unread}`)"}})
	b := browsertest.Chromium(t)
	p := b.Open(w.url)
	waitState(p, pushState, "off")
	push := func(session string) string {
		return string(mustMarshal(map[string]any{"event_id": "$" + session, "sender": "Alice", "unread": 2, "session_id": session}))
	}
	deliver(b, p, push("without a device"), seen{"Nothing new", ""})
	p.Evaluate(`import("/lib/storage.js").then(({set}) => set("device", {sessionID: "this"}))`, nil)
	deliver(b, p, push("another"), seen{"Nothing new", ""})
	waitShown(p, seen{"Nothing new", ""})
	deliver(b, p, push("this"), seen{"Alice", "Open your client to read it"})
	waitShown(p, seen{"Alice", "Open your client to read it"}, seen{"Number 2", ""})
}

// deliver hands a push to the worker of a page, and waits until the worker has told the page what it shows. A look at the notifications before
// would make Chromium forget one that is not displayed yet.
func deliver(b *browsertest.Browser, p *browsertest.Page, payload string, want seen) {
	p.Evaluate(`document.querySelector("#latest").textContent = ""`, nil)
	b.Push(p.URL(), payload)
	p.WaitText("#latest", strings.TrimSuffix("“"+want.title+": "+want.body, ": "))
}

func TestV08_ChromiumShowsAnEventOnceAndTheLastOfARoom(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	b := browsertest.Chromium(t)
	p := b.Open(w.url)
	waitState(p, pushState, "off")
	message := func(id, room, text string) string {
		return string(mustMarshal(map[string]any{
			"event_id": id, "room_id": room, "room_name": room[1:], "sender_display_name": "Alice", "type": "m.room.message",
			"content": map[string]any{"msgtype": "m.text", "body": text},
		}))
	}
	tea, croquet := seen{"Alice in tea", "There isn’t any"}, seen{"Alice in croquet", "Get to your places!"}
	deliver(b, p, message("$1", "!tea", "Have some wine"), seen{"Alice in tea", "Have some wine"})
	deliver(b, p, message("$2", "!tea", tea.body), tea)
	b.Push(w.url, message("$1", "!tea", "Have some wine")) // the worker handles pushes in their order
	deliver(b, p, message("$3", "!croquet", croquet.body), croquet)
	waitShown(p, tea, croquet)
	read := seen{"No unread messages", ""}
	deliver(b, p, `{"unread":0}`, read)
	waitShown(p, read)
}
