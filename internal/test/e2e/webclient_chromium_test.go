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
		b.Push(w.url, strings.Replace(payload, "$event", "$"+tt.push, 1)) // an event is shown once
		waitShown(p, tt.want)
		p.WaitText("#latest", tt.want.title)
	}
	for _, odd := range []string{"", "not JSON", "[]", `{"unread":"many","event_id":7}`} {
		b.Push(w.url, odd)
		waitShown(p, seen{"Nothing new", ""})
	}
}

// The page is closed, as it is most of the time.
func TestV08_ChromiumShowsAnEventOnceAndTheLastOfARoom(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	b := browsertest.Chromium(t)
	p := b.Open(w.url)
	waitState(p, pushState, "off")
	p.Close()
	message := func(id, room, text string) {
		b.Push(w.url, string(mustMarshal(map[string]any{
			"event_id": id, "room_id": room, "room_name": room[1:], "sender_display_name": "Alice", "type": "m.room.message",
			"content": map[string]any{"msgtype": "m.text", "body": text},
		})))
	}
	message("$1", "!tea", "Have some wine")
	message("$2", "!tea", "There isn’t any")
	message("$3", "!croquet", "Get to your places!")
	p = b.Open(w.url)
	last := []seen{{"Alice in croquet", "Get to your places!"}, {"Alice in tea", "There isn’t any"}}
	waitShown(p, last...)
	message("$1", "!tea", "Have some wine")
	waitShown(p, last...)
	b.Push(w.url, `{"unread":0}`)
	waitShown(p, seen{"No unread messages", ""})
}
