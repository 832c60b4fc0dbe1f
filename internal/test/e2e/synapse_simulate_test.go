package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// simulated is what simulate prints as JSON.
type simulated struct {
	Push     bool
	Prio     string
	Decision struct{ Rule, Summary string }
	Requests map[string]struct{ Notification map[string]any }
	Preview  struct {
		App, Result string
		Requests    []struct{ URL, Body string }
	}
}

// simulate runs the command with the user's token.
func (u *matrixUser) simulate(p *process, args ...string) (s simulated) {
	u.t.Helper()
	args = append([]string{"simulate", "--json", "--homeserver", u.hs.url, "--token", "-"}, args...)
	r := p.running(u.token, args...)
	if r.code != 0 || r.err != "" {
		u.t.Fatalf("%v ends with %d: %s", args, r.code, r.err)
	}
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		u.t.Fatalf("%v: %s", err, r.out)
	}
	if strings.Contains(r.out, u.token) {
		u.t.Error("the token is printed")
	}
	return s
}

// The apps of the pushers of each format.
const fullApp, idsApp = "org.example.up.full", "org.example.up.ids"

// newAskedGateway starts a gateway that is only asked what it would send.
func newAskedGateway(t *testing.T) *process {
	t.Helper()
	return startGateway(t, stateless+"app org.example.up.* {\nunifiedpush\n}\n", "matrix_push")
}

// simulateScene is a user with a pusher of each format, whose requests are recorded.
type simulateScene struct {
	*recorder

	alice, bob *matrixUser
	process    *process
}

func newSimulateScene(t *testing.T) simulateScene {
	t.Helper()
	hs := theSynapse(t)
	s := simulateScene{newRecorder(t, hs), hs.register(t, "Alice Liddell"), hs.register(t, "Bob"), newAskedGateway(t)}
	s.pusher(s.alice, fullApp, map[string]any{"default_payload": map[string]any{"cs": 1}})
	s.pusher(s.alice, idsApp, map[string]any{"format": "event_id_only"})
	return s
}

// wantRecorded wants a simulated request to be the recorded one. Only the pushkey and its time differ.
func (s simulateScene) wantRecorded(what string, got map[string]any, want recorded) {
	s.t.Helper()
	devices, _ := got["devices"].([]any)
	device, _ := devices[0].(map[string]any)
	for _, name := range []string{"pushkey", "pushkey_ts"} {
		if device[name] == nil || want.device[name] == nil {
			s.t.Errorf("%s: there is no %s: %v", what, name, device)
		}
		device[name] = want.device[name]
	}
	if !reflect.DeepEqual(got, want.notification) {
		s.t.Errorf("%s: got\n%s\nwant\n%s", what, mustMarshal(got), mustMarshal(want.notification))
	}
}

func TestQ05_ASimulatedRequestIsTheOneThatSynapseSends(t *testing.T) {
	t.Parallel()
	newSimulateScene(t).wantAll(fullApp, "full")
}

func TestQ06_ASimulatedRequestWithOnlyIDsIsTheOneThatSynapseSends(t *testing.T) {
	t.Parallel()
	newSimulateScene(t).wantAll(idsApp, "event_id_only")
}

// wantAll sends events of each kind, and simulates each that Synapse pushes.
func (s simulateScene) wantAll(appID, format string) {
	t := s.t
	t.Helper()
	room := s.bob.room("Tea & cake", s.alice, s.alice.hs.register(t, "Carol"))
	prios := make(map[string]int)
	for _, e := range []struct{ what, eventType, content string }{
		{"a message", "m.room.message", `{"msgtype":"m.text","body":"a cup of tea"}`},
		{"a display name", "m.room.message", `{"msgtype":"m.text","body":"for Alice Liddell"}`},
		{"a mention", "m.room.message", `{"msgtype":"m.text","body":"für dich 🎂","m.mentions":{"user_ids":["` + s.alice.id + `"]}}`},
		{
			"a mention of the room", "m.room.message",
			`{"msgtype":"m.emote","body":"calls","format":"org.matrix.custom.html","formatted_body":"<b>calls</b>","m.mentions":{"room":true}}`,
		},
		{"an encrypted event", "m.room.encrypted", `{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"AwgA","session_id":"s"}`},
		{"a call", "m.call.invite", `{"call_id":"1","lifetime":60000,"version":0,"offer":{"type":"offer","sdp":"v=0"}}`},
	} {
		id := post(s.bob, room, e.eventType, json.RawMessage(e.content))
		want := s.about(appID, id)
		counts, _ := want.notification["counts"].(map[string]any)
		got := s.alice.simulate(s.process, "--room", room, "--event-id", id, "--unread", fmt.Sprint(counts["unread"]), "--app-id", appID)
		if !got.Push {
			t.Errorf("%s: %s", e.what, got.Decision.Summary)
			continue
		}
		s.wantRecorded(e.what, got.Requests[format].Notification, want)
		if got.Prio != want.notification["prio"] {
			t.Errorf("%s: the priority is %s", e.what, got.Prio)
		}
		prios[got.Prio]++
		s.wantPreview(got, id)
	}
	if prios["low"] != 1 || prios["high"] != 5 {
		t.Errorf("the priorities are %v", prios)
	}
	notice := post(s.bob, room, "m.room.message", map[string]any{"msgtype": "m.notice", "body": "beep"})
	if got := s.alice.simulate(s.process, "--room", room, "--event-id", notice); got.Push || got.Requests != nil {
		t.Errorf("a notice is pushed: %s", got.Decision.Summary)
	}
}

// wantPreview wants the gateway to show the message that it would send to the pusher's push server.
func (s simulateScene) wantPreview(got simulated, eventID string) {
	s.t.Helper()
	p := got.Preview
	if p.App != "org.example.up.*" || p.Result != "sent" || len(p.Requests) != 1 || !strings.Contains(p.Requests[0].Body, eventID) {
		s.t.Errorf("the gateway would send %+v", p)
	}
}

func TestQ08_AnInviteTargetsTheUser(t *testing.T) {
	t.Parallel()
	s := newSimulateScene(t)
	room, id := s.bob.invite("A party", s.alice)
	var event json.RawMessage // only the sender can read it
	s.bob.call(http.MethodGet, "/rooms/"+url.PathEscape(room)+"/event/"+url.PathEscape(id), nil, &event)
	s.process.write("event.json", event)
	for appID, format := range map[string]string{fullApp: "full", idsApp: "event_id_only"} {
		want := s.about(appID, id)
		counts, _ := want.notification["counts"].(map[string]any)
		got := s.alice.simulate(s.process, "--event", filepath.Join(s.process.dir, "event.json"), "--room-name", "A party",
			"--sender-name", "Bob", "--unread", fmt.Sprint(counts["unread"]), "--app-id", appID)
		n := got.Requests[format].Notification
		if got.Decision.Rule != "override/.m.rule.invite_for_me" {
			t.Errorf("got %+v", got.Decision)
		}
		if format == "full" && (n["user_is_target"] != true || n["membership"] != "invite") {
			t.Errorf("got %v", n)
		}
		s.wantRecorded("an invite", n, want)
		s.wantPreview(got, id)
	}
}

func TestQ12_WithMSC4028TheClientDecidesUnlessTheRoomIsMuted(t *testing.T) {
	t.Parallel()
	options := pushesToLoopback()
	options["experimental_features"] = map[string]any{"msc4028_push_encrypted_events": true}
	on := anotherSynapse(t, options)
	for hs, want := range map[*synapse]map[string]string{
		theSynapse(t): {"muted": "override/", "mentions only": "room/"},
		on:            {"muted": "override/", "mentions only": "override/.org.matrix.msc4028.encrypted_event"},
	} {
		s := newRuleSceneAt(t, hs, "Alice")
		rooms := map[string]string{"muted": s.bob.room("", s.viewer, s.carol), "mentions only": s.group}
		muted := rooms["muted"]
		s.rule("override", muted, map[string]any{
			"actions": []any{}, "conditions": []any{map[string]any{"kind": "event_match", "key": "room_id", "pattern": muted}},
		})
		s.rule("room", s.group, map[string]any{"actions": []any{}})
		process := newAskedGateway(t)
		for what, room := range rooms {
			id := post(s.bob, room, "m.room.encrypted", map[string]any{"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgA"})
			wantSame(t, what, s.evaluate(room, id), s.notified()[id])
			got := s.viewer.simulate(process, "--room", room, "--event-id", id)
			if !strings.HasPrefix(got.Decision.Rule, want[what]) || got.Push != strings.Contains(want[what], "msc4028") {
				t.Errorf("%s: %+v", what, got.Decision)
			}
		}
	}
}
