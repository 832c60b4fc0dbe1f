package pushrules_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	requests "github.com/matrix-push/caddy-matrix-push/internal/test/corpus"
	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// The requests of internal/test/corpus are those of real homeservers. Those about events are built again from their event and their
// actions.
func TestARequestIsTheOneThatTheHomeserverSends(t *testing.T) {
	t.Parallel()
	built := make(map[pushrules.Homeserver]int)
	for _, recorded := range requests.Requests() {
		h := pushrules.Homeserver(recorded.Server)
		var body struct{ Notification map[string]any }
		if err := json.Unmarshal(recorded.Body, &body); err != nil {
			t.Fatal(err)
		}
		n := body.Notification
		if !slices.Contains(pushrules.Homeservers(), h) || n["event_id"] == nil || notBuilt[recorded.Server+"/"+recorded.What] {
			continue
		}
		built[h]++
		t.Run(recorded.Server+"/"+recorded.What, func(t *testing.T) {
			t.Parallel()
			equal(t, nil, rebuild(t, h, n), body.Notification)
		})
	}
	for _, h := range pushrules.Homeservers() {
		if built[h] < 3 {
			t.Errorf("%s: only %d requests", h, built[h])
		}
	}
}

// notBuilt has the requests that can't be built again.
var notBuilt = map[string]bool{
	"synapse/module_push":                 true, // it comes from a module, and not from push rules
	"dendrite/event_id_only_without_data": true, // its data doesn't have the format
}

// rebuild makes a notification again.
func rebuild(t *testing.T, h pushrules.Homeserver, n map[string]any) any {
	t.Helper()
	device := n["devices"].([]any)[0].(map[string]any)
	actions := []any{"notify"}
	tweaks, _ := device["tweaks"].(map[string]any)
	for name, value := range tweaks {
		action := map[string]any{"set_tweak": name}
		if value != nil {
			action["value"] = value
		}
		actions = append(actions, action)
	}
	if data, _ := device["data"].(map[string]any); data["format"] == "event_id_only" && h != pushrules.Dendrite {
		if n["prio"] != "low" { // the tweaks were dropped
			actions = append(actions, map[string]any{"set_tweak": "highlight"})
		}
	}
	raw := map[string]any{"type": "m.room.message", "content": map[string]any{}, "state_key": "@target:hs.example"}
	for _, name := range []string{"event_id", "room_id", "type", "sender", "content"} {
		if v, ok := n[name]; ok {
			raw[name] = v
		}
	}
	viewer := &pushrules.Viewer{UserID: "@other:hs.example"}
	if n["user_is_target"] == true {
		viewer.UserID = "@target:hs.example"
	}
	rules := marshal(t, map[string]any{"override": []any{map[string]any{"rule_id": "mine", "actions": actions}}})
	e := event(t, marshal(t, raw))
	r, err := pushrules.Evaluate(t.Context(), parse(t, rules), e, viewer, pushrules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := &pushrules.Delivery{Device: maps.Clone(device), NoCounts: n["counts"] == nil, NoContent: n["content"] == nil}
	delete(d.Device, "tweaks")
	d.RoomName, _ = n["room_name"].(string)
	d.RoomAlias, _ = n["room_alias"].(string)
	d.SenderDisplayName, _ = n["sender_display_name"].(string)
	if counts, ok := n["counts"].(map[string]any); ok {
		d.Unread = uint64(counts["unread"].(float64))
	}
	if data, ok := d.Device["data"].(map[string]any); ok {
		data = maps.Clone(data)
		data["url"] = "https://push.hs.example/_matrix/push/v1/notify"
		d.Device["data"] = data
	}
	return h.Request(r, e, viewer, d)["notification"]
}

// tuwunel and continuwuity compare the subject of a membership with its sender.
func TestATargetIsTheUserOrForSomeHomeserversTheSender(t *testing.T) {
	t.Parallel()
	const rules = `{"override":[{"rule_id":"mine","actions":["notify"]}]}`
	for _, c := range []struct {
		sender, subject string
		want            []any // in the order of Homeservers
	}{
		{"@bob:hs.test", alice, []any{true, true, nil, nil}},
		{"@bob:hs.test", "@bob:hs.test", []any{false, false, true, true}},
		{"@bob:hs.test", "@carol:hs.test", []any{false, false, nil, nil}},
	} {
		raw := `{"type":"m.room.member","sender":"` + c.sender + `","state_key":"` + c.subject + `","content":{"membership":"invite"}}`
		r := evaluate(t, rules, raw, pushrules.Options{})
		var got []any
		for _, h := range pushrules.Homeservers() {
			body := h.Request(r, event(t, []byte(raw)), &pushrules.Viewer{UserID: alice}, &pushrules.Delivery{})
			got = append(got, body["notification"].(map[string]any)["user_is_target"])
		}
		equal(t, r, got, c.want)
	}
}

func TestSynapseSendsNoEmptyContent(t *testing.T) {
	t.Parallel()
	const raw = `{"type":"m.x","content":{}}`
	r := evaluate(t, override(`"conditions":[]`), raw, pushrules.Options{})
	for _, h := range pushrules.Homeservers() {
		body := h.Request(r, event(t, []byte(raw)), &pushrules.Viewer{UserID: alice}, &pushrules.Delivery{})
		if _, ok := body["notification"].(map[string]any)["content"]; ok != (h != pushrules.SynapseServer) {
			t.Errorf("%s: %v", h, body)
		}
	}
}

func TestSynapseSendsTheAliasAsTheNameOfARoomWithoutAName(t *testing.T) {
	t.Parallel()
	r := evaluate(t, override(`"conditions":[]`), message, pushrules.Options{})
	for name, want := range map[string]string{"": "#tea:hs.test", "Tea": "Tea"} {
		d := &pushrules.Delivery{RoomName: name, RoomAlias: "#tea:hs.test"}
		n := pushrules.SynapseServer.Request(r, event(t, []byte(message)), &pushrules.Viewer{}, d)["notification"].(map[string]any)
		if n["room_name"] != want || n["room_alias"] != nil {
			t.Errorf("got %v", n)
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAHomeserverIsNamedByItsHeader(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]pushrules.Homeserver{
		"Synapse/1.163.2": "synapse", "Dendrite": "dendrite", "tuwunel/1.4": "tuwunel", "continuwuity": "continuwuity", "nginx": "", "": "",
	} {
		if got, ok := pushrules.HomeserverNamed(server); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v", server, got, ok)
		}
	}
}

func TestHomeserversEvaluateDifferentUsers(t *testing.T) {
	t.Parallel()
	const invite = `{"type":"m.room.member","sender":"@bob:hs.test","state_key":"@alice:hs.test","content":{"membership":"invite"}}`
	const join = `{"type":"m.room.member","sender":"@bob:hs.test","state_key":"@bob:hs.test","content":{"membership":"join"}}`
	const own = `{"type":"m.room.message","sender":"@alice:hs.test"}`
	for _, c := range []struct {
		what, raw, membership string
		want                  []bool // in the order of Homeservers
	}{
		{"a message, joined", message, "join", []bool{true, true, true, true}},
		{"a message, invited", message, "invite", []bool{false, true, false, false}},
		{"a message, left", message, "leave", []bool{false, false, false, false}},
		{"an invite for the user", invite, "invite", []bool{true, true, true, true}},
		{"another user joins", join, "join", []bool{false, true, true, true}},
		{"the user's own message", own, "join", []bool{false, false, false, false}},
	} {
		var got []bool
		for _, h := range pushrules.Homeservers() {
			got = append(got, h.Evaluates(event(t, []byte(c.raw)), alice, c.membership))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, got, c.want)
		}
	}
	for _, h := range pushrules.Homeservers() {
		want := map[pushrules.Homeserver]string{pushrules.SynapseServer: "Room", pushrules.Dendrite: "Room"}[h]
		if want == "" {
			want = "Profile"
			if got := h.DisplayName(alice, "Room", ""); got != "alice" {
				t.Errorf("%s without a name in the profile: %s", h, got)
			}
		}
		if got := h.DisplayName(alice, "Room", "Profile"); got != want {
			t.Errorf("%s: %s", h, got)
		}
		if (h.Reading() == pushrules.Synapse) != (h == pushrules.SynapseServer) || (h.Note() == "") != (h == pushrules.SynapseServer) {
			t.Errorf("%s: %s, %q", h, h.Reading(), h.Note())
		}
	}
}
