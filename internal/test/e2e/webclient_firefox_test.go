package e2e

import (
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

func TestV04_FirefoxShowsANotificationWithoutAnAccount(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	p := w.firefox().Open(w.url)
	turnOn(p)
	p.Click("#send")
	p.WaitText(pushMessage, "It works: this browser has received the push.")
	waitShown(p, seen{"Alice in Test room", "Hello! This push came through your gateway."})
	p.WaitText("#latest", "“Alice in Test room: Hello! This push came through your gateway.”")
}

func TestV04_FirefoxRegistersShowsEachKindOfEventAndUnregisters(t *testing.T) {
	t.Parallel()
	w := newWebClient(t, "", nil)
	b := w.firefox()
	p := b.Open(w.url)
	turnOn(p)
	w.signIn(p)
	waitState(p, accountState, "registered")
	p.WaitText(accountMessage, "The homeserver has registered this browser.")
	w.wantPusher()

	const tea, croquet = "!tea:hs.test", "!croquet:hs.test"
	w.receives(says("$1", tea, "Have some wine"))
	waitShown(p, seen{"Alice Liddell in Mad Tea Party", "Have some wine"})
	w.receives(says("$2", tea, "There isn’t any"))
	waitShown(p, seen{"Alice Liddell in Mad Tea Party", "There isn’t any"})
	w.receives(
		event("$3", croquet, "m.room.encrypted", map[string]any{"algorithm": "m.megolm.v1.aes-sha2"}, map[string]any{"room_name": "Croquet Ground"}),
		event("$4", "!trial:hs.test", "m.room.member", map[string]any{"membership": "invite"},
			map[string]any{"membership": "invite", "user_is_target": true, "room_name": "The Trial"}),
		event("$5", "!mine:hs.test", "m.room.message", nil, map[string]any{
			"type": nil, "sender": nil, "sender_display_name": nil, "room_name": nil, "content": nil, // the format event_id_only
		}),
	)
	waitShown(p,
		seen{"Alice Liddell in Croquet Ground", "Encrypted message"},
		seen{"Alice Liddell in Mad Tea Party", "There isn’t any"},
		seen{"Alice Liddell in The Trial", "Invites you to The Trial"},
		seen{"New message", "Open your client to read it"},
	)

	b.ClickNotification("Alice Liddell in Mad Tea Party")
	p.WaitText(pushMessage, "You have opened a notification of the room "+tea)
	p.Close()
	b.ClickNotification("Alice Liddell in Croquet Ground")
	p = b.Opened(w.url + "#/room/!croquet%3Ahs.test")
	p.WaitText(pushMessage, "You have opened a notification of the room "+croquet)
	waitShown(p, seen{"Alice Liddell in The Trial", "Invites you to The Trial"}, seen{"New message", "Open your client to read it"})
	w.unregister(p)
}

// wantPusher wants exactly the pusher that Matrix asks for, and that the gateway needs.
func (w *webClient) wantPusher() {
	w.t.Helper()
	sets := w.hs.requests()
	if len(sets) != 1 {
		w.t.Fatalf("the page has sent %d requests about pushers", len(sets))
	}
	got := sets[0]
	data, _ := got["data"].(map[string]any)
	payload, _ := data["default_payload"].(map[string]any)
	for text, form := range map[any]string{
		got["pushkey"]:        `^[\w-]{87}$`, // an uncompressed point
		data["auth"]:          `^[\w-]{22}$`,
		payload["session_id"]: `^[\da-f-]{36}$`,
	} {
		if text, _ := text.(string); !regexp.MustCompile(form).MatchString(text) {
			w.t.Errorf("a member of the pusher does not match %s", form)
		}
	}
	want := map[string]any{
		"kind": "http", "app_id": "org.example.web", "app_display_name": "Push client", "device_display_name": "Bob’s desk", "lang": "en-US",
		"append": false, "pushkey": got["pushkey"],
		"data": map[string]any{
			"url": w.url + "_matrix/push/v1/notify", "endpoint": w.subscription().Endpoint, "auth": data["auth"], "events_only": true,
			"default_payload": payload,
		},
	}
	if !reflect.DeepEqual(got, want) || len(payload) != 1 {
		w.t.Errorf("the pusher is %v", keysOf(got))
	}
}

func keysOf(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// unregister turns notifications off. Then nobody gets pushes: the pusher is gone, and the push service tells the gateway.
func (w *webClient) unregister(p *browsertest.Page) {
	w.t.Helper()
	pusher := w.hs.registered()[0]
	waitState(p, pushState, "on")
	p.Click("#turn-off")
	waitState(p, pushState, "off")
	p.WaitText(pushMessage, "This browser gets no more pushes.")
	if left := w.hs.registered(); len(left) != 0 {
		w.t.Errorf("%d pushers are left", len(left))
	}
	if given := w.service.Wait(w.subscription().Endpoint, gaveUp); given.Unregistered != http.StatusOK {
		w.t.Errorf("the browser told the push service %d", given.Unregistered)
	}
	gateway := w.gateway.homeserver()
	gateway.url = w.url + "_matrix/push/v1/notify"
	pushkey := pusher["pushkey"].(string)
	data := pusher["data"].(map[string]any)
	wantBody(w.t, gateway.notify(alert("$late", device{AppID: "org.example.web", Pushkey: pushkey, Data: data})), rejectingVerbatim(pushkey))
}
