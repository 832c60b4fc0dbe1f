package e2e

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// ruleScene is a user whose rules are evaluated, and rooms in which others send events.
type ruleScene struct {
	viewer, bob, carol *matrixUser
	name               string
	pair, group        string
}

func newRuleScene(t *testing.T, name string) ruleScene {
	t.Helper()
	return newRuleSceneAt(t, theSynapse(t), name)
}

func newRuleSceneAt(t *testing.T, hs *synapse, name string) ruleScene {
	t.Helper()
	s := ruleScene{viewer: hs.register(t, name), bob: hs.register(t, "Bob"), carol: hs.register(t, "Carol"), name: name}
	s.pair, s.group = s.bob.room("", s.viewer), s.bob.room("", s.viewer, s.carol)
	return s
}

// rule sets one of the user's rules.
func (s ruleScene) rule(kind, id string, members map[string]any) {
	s.viewer.t.Helper()
	s.viewer.call(http.MethodPut, "/pushrules/global/"+kind+"/"+url.PathEscape(id), members, nil)
}

// post sends an event. No gateway gets it, so it is not noted for the checks of logs.
func post(u *matrixUser, room, eventType string, content any) (eventID string) {
	u.t.Helper()
	var answer struct {
		EventID string `json:"event_id"`
	}
	u.call(http.MethodPut, "/rooms/"+url.PathEscape(room)+"/send/"+url.PathEscape(eventType)+"/"+rand.Text(), content, &answer)
	return answer.EventID
}

func say(u *matrixUser, room, text string) (eventID string) {
	u.t.Helper()
	return post(u, room, "m.room.message", map[string]any{"msgtype": "m.text", "body": text})
}

// evaluate evaluates the rules that Synapse serves for an event that Synapse serves.
func (s ruleScene) evaluate(room, eventID string) *pushrules.Result {
	t := s.viewer.t
	t.Helper()
	var raw json.RawMessage
	s.viewer.call(http.MethodGet, "/pushrules/", nil, &raw)
	rules, err := pushrules.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	e := s.event(room, "/event/"+url.PathEscape(eventID))
	power, levels := pushrules.Power(
		s.event(room, "/state/m.room.create/?format=event"), s.event(room, "/state/m.room.power_levels/?format=event"), e.Sender())
	viewer := &pushrules.Viewer{
		UserID: s.viewer.id, DisplayName: s.name, Members: map[string]uint64{s.pair: 2, s.group: 3}[room], SenderPower: &power, Levels: levels,
	}
	r, err := pushrules.Evaluate(t.Context(), rules, e, viewer, pushrules.Options{Reading: pushrules.Synapse})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// event returns an event of a room as Synapse serves it.
func (s ruleScene) event(room, path string) *pushrules.Event {
	t := s.viewer.t
	t.Helper()
	var raw json.RawMessage
	s.viewer.call(http.MethodGet, "/rooms/"+url.PathEscape(room)+path, nil, &raw)
	e, err := pushrules.ParseEvent(raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// notified returns the actions of all events that notified the user. The last message of the scene notifies for certain, so all others were
// evaluated before it.
func (s ruleScene) notified() map[string][]any {
	t := s.viewer.t
	t.Helper()
	last := post(s.bob, s.pair, "m.room.message", map[string]any{
		"msgtype": "m.text", "body": "the last", "m.mentions": map[string]any{"user_ids": []string{s.viewer.id}},
	})
	for deadline := time.Now().Add(patience); ; {
		var answer struct {
			Notifications []struct {
				Actions []any
				Event   struct {
					ID string `json:"event_id"`
				}
			}
		}
		s.viewer.call(http.MethodGet, "/notifications?limit=500", nil, &answer)
		events := make(map[string][]any)
		for _, n := range answer.Notifications {
			events[n.Event.ID] = n.Actions
		}
		if events[last] != nil {
			return events
		}
		if time.Now().After(deadline) {
			t.Fatal("the last message doesn't notify")
		}
	}
}

// wantSame wants the evaluation to agree with what Synapse did.
func wantSame(t *testing.T, what string, r *pushrules.Result, notified []any) {
	t.Helper()
	if r.Notify != (notified != nil) {
		t.Errorf("%s: Synapse's actions are %v\n%s", what, notified, r)
	}
	if !r.Notify {
		return
	}
	var actions []any
	for _, a := range r.Rule.Actions {
		var action any
		if err := json.Unmarshal(a.Raw, &action); err != nil {
			t.Fatal(err)
		}
		actions = append(actions, action)
	}
	if !reflect.DeepEqual(actions, notified) {
		t.Errorf("%s: got %v, want %v", what, actions, notified)
	}
}

// sendable reports whether Synapse lets clients send an event with this content.
func sendable(eventType string, content json.RawMessage) bool {
	var members struct {
		Msgtype, Body *string
		Mentions      json.RawMessage `json:"m.mentions"`
	}
	var mentions struct {
		UserIDs []string `json:"user_ids"`
		Room    bool
	}
	isMessage := eventType == "m.room.message"
	special := strings.HasPrefix(eventType, "m.room.") && !isMessage && eventType != "m.room.encrypted"
	if err := json.Unmarshal(content, &members); err != nil || special {
		return false
	}
	if m := members.Mentions; m != nil && (m[0] != '{' || json.Unmarshal(m, &mentions) != nil) {
		return false
	}
	return !isMessage || members.Msgtype != nil && members.Body != nil
}

// liveCase is an event of the corpus of package pushrules.
type liveCase struct {
	Name  string
	Input struct {
		Event struct {
			Type, Sender string
			StateKey     *string `json:"state_key"`
			Content      json.RawMessage
		}
		Experimental map[string]bool
	}
}

// liveCases returns the corpus's messages, each once, that do not depend on a case's own settings.
func liveCases(t *testing.T) (cases []liveCase) {
	t.Helper()
	data, err := os.ReadFile("../../../pushrules/testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var corpus struct{ Cases []liveCase }
	if err := json.Unmarshal(data, &corpus); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, c := range corpus.Cases {
		e, key := c.Input.Event, c.Input.Event.Type+string(c.Input.Event.Content)
		group, _, _ := strings.Cut(c.Name, ":")
		if seen[key] || !slices.Contains([]string{"default", "mention", "body"}, group) || c.Input.Experimental != nil {
			continue
		}
		if e.StateKey == nil && e.Sender == "@bob:hs.test" && sendable(e.Type, e.Content) {
			seen[key] = true
			cases = append(cases, c)
		}
	}
	return cases
}

// sound returns a rule's actions: notify with a sound.
func sound(name string) []any {
	return []any{"notify", map[string]any{"set_tweak": "sound", "value": name}}
}

// anEventOfTheCorpus matches the ids to which the corpus's events relate.
var anEventOfTheCorpus = regexp.MustCompile(`"\$[a-z]"`)

func TestQ04_SynapseNotifiesAsTheEvaluationSays(t *testing.T) {
	t.Parallel()
	s := newRuleScene(t, "Alice")
	s.rule("content", "tea", map[string]any{"pattern": "t?a", "actions": sound("tea")})
	type sent struct{ name, room, id string }
	var events []sent
	for _, c := range liveCases(t) {
		e := c.Input.Event
		senders := map[string]*matrixUser{s.pair: s.bob, s.group: s.bob}
		if e.Type == "m.room.message" { // calls need a higher power level
			senders[s.group] = s.carol
		}
		for room, sender := range senders {
			content := strings.ReplaceAll(string(e.Content), "@alice:hs.test", s.viewer.id)
			if anEventOfTheCorpus.MatchString(content) { // Synapse wants events to relate to one that exists
				content = anEventOfTheCorpus.ReplaceAllLiteralString(content, `"`+say(s.bob, room, "hello")+`"`)
			}
			events = append(events, sent{c.Name, room, post(sender, room, e.Type, json.RawMessage(content))})
		}
	}
	if len(events) < 30 {
		t.Fatalf("only %d events", len(events))
	}
	notified := s.notified()
	for _, e := range events {
		wantSame(t, e.name, s.evaluate(e.room, e.id), notified[e.id])
	}
	t.Logf("%d events, %d of them notify", len(events), len(notified)-1)
}

func TestQ09_ASenderRuleHasNoEffectInSynapse(t *testing.T) {
	t.Parallel()
	s := newRuleScene(t, "Alice")
	s.rule("sender", s.bob.id, map[string]any{"actions": []any{}})
	id := say(s.bob, s.group, "hello")
	r := s.evaluate(s.group, id)
	wantSame(t, "a muted sender", r, s.notified()[id])
	if !r.Notify || !strings.Contains(r.String(), "Synapse compares it with user_id, which events don't have") {
		t.Errorf("got %s", r)
	}
}

// wantDecided says each text in the group, and wants the rule to decide about those that it matches, here and at Synapse.
func (s ruleScene) wantDecided(rule string, matches map[string]bool) {
	t := s.viewer.t
	t.Helper()
	for text, want := range matches {
		id := say(s.bob, s.group, text)
		r := s.evaluate(s.group, id)
		wantSame(t, text, r, s.notified()[id])
		if (r.Rule.ID == rule) != want {
			t.Errorf("%s: %s", text, r)
		}
	}
}

func TestQ10_AKeywordNeedsBoundariesInChinese(t *testing.T) {
	t.Parallel()
	s := newRuleScene(t, "Alice")
	s.rule("content", "cake", map[string]any{"pattern": "蛋糕", "actions": sound("cake")})
	s.wantDecided("cake", map[string]bool{"我喜欢蛋糕的": false, "你好，蛋糕！": true})
}

func TestQ11_ADisplayNameIsAPatternInSynapse(t *testing.T) {
	t.Parallel()
	s := newRuleScene(t, "w?o")
	s.wantDecided(".m.rule.contains_display_name", map[string]bool{"a woo!": true, "a wooo!": false})
}

func TestQ07_ACreatorIsAboveAllPowerLevels(t *testing.T) {
	t.Parallel()
	s := newRuleScene(t, "Alice")
	path := "/rooms/" + url.PathEscape(s.group) + "/state/m.room.power_levels/"
	var levels map[string]any
	s.bob.call(http.MethodGet, path, nil, &levels)
	levels["notifications"] = map[string]any{"room": 101}
	s.bob.call(http.MethodPut, path, levels, nil)
	for sender, matches := range map[*matrixUser]bool{s.bob: true, s.carol: false} {
		id := post(sender, s.group, "m.room.message", map[string]any{
			"msgtype": "m.text", "body": "all", "m.mentions": map[string]any{"room": true},
		})
		r := s.evaluate(s.group, id)
		wantSame(t, sender.id, r, s.notified()[id])
		if (r.Rule.ID == ".m.rule.is_room_mention") != matches || (pushrules.SynapseServer.Prio(r) == "high") != matches {
			t.Errorf("creator %v: %s", matches, r)
		}
	}
}
