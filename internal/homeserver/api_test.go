package homeserver

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// answers are answers of Synapse 1.163.2.
var answers = map[string]string{
	"GET /_matrix/client/v3/pushers": `{"pushers":[{"app_display_name":"An app","app_id":"org.example.up","data":{"url":"https://push.example.org/_matrix/push/v1/notify",
		"format":"event_id_only","own":[1]},"device_display_name":"A device","kind":"http","lang":"en","profile_tag":"","pushkey":"https://up.example.org/UP",
		"org.matrix.msc3881.enabled":true}]}`,
	"GET /_matrix/client/v3/notifications?limit=2": `{"notifications":[
		{"room_id":"!a:hs.test","profile_tag":null,"actions":["notify"],"ts":1000,"event":{"type":"m.room.message"},"read":true},
		{"room_id":"!b:hs.test","profile_tag":null,"actions":["notify"],"ts":2000,"event":{"type":"m.room.message"},"read":false}],"next_token":null}`,
	"GET /_matrix/client/v3/user/@alice:hs.test/account_data/m.ignored_user_list": `{"ignored_users":{"@mallory:hs.test":{},"@bob:hs.test":{}}}`,
	"GET /_matrix/client/v3/rooms/%21a:hs.test/event/$event":                      `{"type":"m.room.message","event_id":"$event"}`,
	"GET /_matrix/client/v3/rooms/%21a:hs.test/state/m.room.name/":                `{"name":"The room"}`,
	"GET /_matrix/client/v3/rooms/%21a:hs.test/state/m.room.create/?format=event": `{"type":"m.room.create","sender":"@bob:hs.test","content":{"room_version":"12"}}`,
	"GET /_matrix/client/v3/rooms/%21old/state/m.room.create/?format=event":       `{"room_version":"12"}`,
	"GET /_matrix/client/v3/rooms/%21a:hs.test/joined_members":                    `{"joined":{"@alice:hs.test":{"display_name":"Alice"},"@bob:hs.test":{}}}`,
	"POST /_matrix/client/v3/pushers/set":                                         `{}`,
	"POST /_matrix/client/v3/createRoom":                                          `{"room_id":"!a:hs.test"}`,
	"POST /_matrix/client/v3/rooms/%21a:hs.test/receipt/m.read.private/$event":    `{}`,
	"POST /_matrix/client/v3/join/%21a:hs.test":                                   `{"room_id":"!a:hs.test"}`,
	"POST /_matrix/client/v3/rooms/%21a:hs.test/leave":                            `{}`,
	"POST /_matrix/client/v3/rooms/%21a:hs.test/forget":                           `{}`,
}

func TestAnswersKeepWhatTheHomeserverSent(t *testing.T) {
	t.Parallel()
	c := newClient(t, newFake(t, answers).URL)
	pushers, err := c.Pushers(t.Context())
	if err != nil || len(pushers) != 1 {
		t.Fatal(pushers, err)
	}
	if p := pushers[0]; p.AppID != "org.example.up" || !strings.Contains(string(p.Data), `"own":[1]`) || !strings.Contains(string(p.Raw), "msc3881") {
		t.Errorf("the pusher is %+v", p)
	}
	list, err := c.Notifications(t.Context(), 2)
	if err != nil || len(list) != 2 || list[0].TS != 2000 || list[0].Read || list[1].TS != 1000 || !list[1].Read {
		t.Errorf("the notifications are %+v: %v", list, err)
	}
	ignored, err := c.IgnoredUsers(t.Context(), "@alice:hs.test")
	if err != nil || !slices.Equal(ignored, []string{"@bob:hs.test", "@mallory:hs.test"}) {
		t.Errorf("ignored are %q: %v", ignored, err)
	}
	if ignored, err = c.IgnoredUsers(t.Context(), "@bob:hs.test"); err != nil || ignored != nil {
		t.Errorf("without account data, ignored are %q: %v", ignored, err)
	}
	v, err := c.Versions(t.Context())
	if err != nil || v.Server != "Synapse/1.163.2" || !slices.Contains(v.Versions, "v1.15") {
		t.Errorf("the versions are %+v: %v", v, err)
	}
}

func TestARoomIsReadWithItsStateAndMembers(t *testing.T) {
	t.Parallel()
	c := newClient(t, newFake(t, answers).URL)
	event, err := c.Event(t.Context(), "!a:hs.test", "$event")
	if err != nil || !strings.Contains(string(event), `"event_id":"$event"`) {
		t.Errorf("the event is %s: %v", event, err)
	}
	name, err := c.State(t.Context(), "!a:hs.test", "m.room.name", "")
	if err != nil || string(name) != `{"name":"The room"}` {
		t.Errorf("the name is %s: %v", name, err)
	}
	for room, sender := range map[string]string{"!a:hs.test": "@bob:hs.test", "!old": ""} {
		raw, err := c.StateEvent(t.Context(), room, "m.room.create", "")
		var create struct {
			Type, Sender string
			Content      map[string]string
		}
		if err != nil || json.Unmarshal(raw, &create) != nil || create.Sender != sender || create.Content["room_version"] != "12" {
			t.Errorf("%s was created with %s: %v", room, raw, err)
		}
	}
	n, err := c.JoinedMembers(t.Context(), "!a:hs.test")
	if err != nil || n != 2 {
		t.Errorf("%d members: %v", n, err)
	}
	if _, err = c.Event(t.Context(), "!a:hs.test", "$unknown"); !NotFound(err) {
		t.Errorf("an unknown event: %v", err)
	}
}

func TestAPusherComesAndGoes(t *testing.T) {
	t.Parallel()
	f := newFake(t, answers)
	c := newClient(t, f.URL)
	if err := c.SetPusher(t.Context(), map[string]any{"kind": "http"}); err != nil {
		t.Error(err)
	}
	if err := c.DeletePusher(t.Context(), "org.example.up", "key"); err != nil {
		t.Error(err)
	}
	if got := f.bodies[len(f.bodies)-1]; got != `{"app_id":"org.example.up","kind":null,"pushkey":"key"}` {
		t.Errorf("the deletion is %s", got)
	}
}

func TestARoomForAProbeComesAndGoes(t *testing.T) {
	t.Parallel()
	f := newFake(t, answers)
	c := newClient(t, f.URL)
	ctx := t.Context()
	room, err := c.CreateRoom(ctx, map[string]any{"preset": "private_chat"})
	if err != nil || room != "!a:hs.test" {
		t.Fatal(room, err)
	}
	for what, do := range map[string]func() error{
		"join":   func() error { return c.Join(ctx, room) },
		"read":   func() error { return c.ReadPrivately(ctx, room, "$event") },
		"leave":  func() error { return c.Leave(ctx, room) },
		"forget": func() error { return c.Forget(ctx, room) },
	} {
		if err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAnEventIsSentOnceWithItsOwnTransaction(t *testing.T) {
	t.Parallel()
	var paths []string
	f := newFake(t, nil)
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			paths = append(paths, r.RequestURI)
			_, _ = w.Write([]byte(`{"event_id":"$event"}`))
			return
		}
		f.ServeHTTP(w, r)
	})
	c := newClient(t, f.URL)
	for range 2 {
		if id, err := c.Send(t.Context(), "!a:hs.test", "m.room.message", map[string]string{"body": "x"}); err != nil || id != "$event" {
			t.Fatal(id, err)
		}
	}
	if len(paths) != 2 || paths[0] == paths[1] || !strings.HasPrefix(paths[0], "/_matrix/client/v3/rooms/%21a:hs.test/send/m.room.message/") {
		t.Errorf("the paths are %q", paths)
	}
}

// A wrong type in one of them must not hide the rest.
func TestMembersThatNobodyReadsMayHaveAnyForm(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, map[string]string{
			"/_matrix/client/versions":         `{"versions":["v1.15"],"unstable_features":{"org.example":"yes"}}`,
			"/_matrix/client/v3/pushers":       `{"pushers":[{"app_id":"app","app_display_name":1,"profile_tag":[],"lang":{}}]}`,
			"/_matrix/client/v3/notifications": `{"notifications":[{"ts":1,"actions":"notify","room_id":1}]}`,
		}[r.URL.Path])
	})
	c := newClient(t, f.URL)
	if pushers, err := c.Pushers(t.Context()); err != nil || len(pushers) != 1 || pushers[0].AppID != "app" {
		t.Errorf("the pushers are %+v: %v", pushers, err)
	}
	if list, err := c.Notifications(t.Context(), 1); err != nil || len(list) != 1 || list[0].TS != 1 {
		t.Errorf("the notifications are %+v: %v", list, err)
	}
}

func TestAnAnswerOfAnotherFormIsOneSentence(t *testing.T) {
	t.Parallel()
	c := newClient(t, newFake(t, map[string]string{
		"GET /_matrix/client/v3/account/whoami":            `{}`,
		"GET /_matrix/client/v3/pushers":                   `{"pushers":{}}`,
		"GET /_matrix/client/v3/notifications?limit=1":     `[]`,
		"GET /_matrix/client/v3/rooms/%21a/joined_members": `{}`,
		"POST /_matrix/client/v3/createRoom":               `{}`,
	}).URL)
	ctx := t.Context()
	for what, do := range map[string]func() error{
		"whoami":        func() error { _, err := c.WhoAmI(ctx); return err },
		"pushers":       func() error { _, err := c.Pushers(ctx); return err },
		"notifications": func() error { _, err := c.Notifications(ctx, 1); return err },
		"members":       func() error { _, err := c.JoinedMembers(ctx, "!a"); return err },
		"room":          func() error { _, err := c.CreateRoom(ctx, nil); return err },
	} {
		t.Run(what, func(t *testing.T) { wantError(t, do(), "does not have the form") })
	}
}
