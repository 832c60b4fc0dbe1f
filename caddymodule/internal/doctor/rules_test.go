package doctor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

func TestTheUsualEventsAreEvaluated(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	want := []Ring{
		{"direct_message", true, "default", false, "high", "underride/.m.rule.room_one_to_one"},
		{"direct_message_encrypted", true, "default", false, "high", "underride/.m.rule.encrypted_room_one_to_one"},
		{"group_message", true, "", false, "low", "underride/.m.rule.message"},
		{"group_message_encrypted", true, "", false, "high", "underride/.m.rule.encrypted"},
		{"mention", true, "default", true, "high", "override/.m.rule.is_user_mention"},
		{"invitation", true, "default", false, "high", "override/.m.rule.invite_for_me"},
		{"call", true, "ring", false, "high", "underride/.m.rule.call"},
	}
	for i, got := range s.examine().Rings {
		if got != want[i] {
			t.Errorf("got %+v, want %+v", got, want[i])
		}
	}
	s.change(".m.rule.master", "enabled", true)
	for _, got := range s.examine().Rings {
		if got.Push || got.Rule != "override/.m.rule.master" {
			t.Errorf("with master: %+v", got)
		}
	}
}

// inRoom is a rule's conditions: the event is in a room.
func inRoom(pattern string) string {
	return fmt.Sprintf(`"conditions":[{"kind":"event_match","key":"room_id","pattern":%q}]`, pattern)
}

func TestRulesThatKeepAPhoneSilentAreNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*scene)
		codes  []string
		text   string
	}{
		"master": {func(s *scene) { s.change(".m.rule.master", "enabled", true) }, []string{"rules_master_on"}, ".m.rule.master is enabled"},
		"an override without conditions": {
			func(s *scene) { s.add("override", "all", `"conditions":[]`) }, []string{"rule_silences_everything"}, "override/all matches every event",
		},
		"an override for all rooms": {
			func(s *scene) { s.add("override", "all", inRoom("!*")) }, []string{"rule_silences_everything"}, "override/all",
		},
		"a disabled override": {func(s *scene) { s.add("override", "all", `"enabled":false,"conditions":[]`) }, nil, ""},
		"a muted room": {
			func(s *scene) {
				s.rooms["!tea"] = map[string]string{"m.room.name": `{"name":"Tea"}`}
				s.add("override", "!tea", inRoom("!tea"))
			}, []string{"room_muted"}, `override/!tea mutes the room "Tea".`,
		},
		"a muted room whose rule has another name": {
			func(s *scene) {
				s.rooms["!tea"] = map[string]string{"m.room.name": `{"name":"Tea"}`}
				s.add("override", "quiet", inRoom("!tea"))
			}, []string{"room_muted"}, `override/quiet mutes the room "Tea" (!tea).`,
		},
		"a room that nobody knows": {func(s *scene) { s.add("override", "!x", inRoom("!x")) }, []string{"room_muted"}, "mutes the room !x."},
		"mentions only": {
			func(s *scene) {
				s.rooms["!tea"] = map[string]string{"m.room.name": `{"name":"Tea"}`}
				s.add("room", "!tea", "")
			}, []string{"room_mentions_only"}, `room/!tea sets the room "Tea" to mentions only`,
		},
		"mentions only in an encrypted room": {
			func(s *scene) {
				s.rooms["!tea"] = map[string]string{"m.room.encryption": `{"algorithm":"m.megolm.v1.aes-sha2"}`}
				s.add("room", "!tea", "")
			}, []string{"mentions_invisible"}, "the homeserver can't see mentions",
		},
		"mentions only in an encrypted room, with MSC4028": {
			func(s *scene) {
				s.rooms["!tea"] = map[string]string{"m.room.encryption": `{"algorithm":"m.megolm.v1.aes-sha2"}`}
				s.add("room", "!tea", "")
				s.add("override", ".org.matrix.msc4028.encrypted_event",
					`"default":true,"actions":["notify"],"conditions":[{"kind":"event_match","key":"type","pattern":"m.room.encrypted"}]`)
			}, []string{"room_mentions_only"}, "",
		},
		"a room that notifies": {func(s *scene) { s.add("room", "!tea", `"actions":["notify"]`) }, nil, ""},
		"messages and encrypted messages without notify": {
			func(s *scene) {
				s.change(".m.rule.message", "actions", []any{"dont_notify"})
				s.change(".m.rule.encrypted", "enabled", false)
			}, []string{"rule_default_silent", "rule_default_silent"}, "underride/.m.rule.encrypted is disabled",
		},
		"twins that differ": {
			func(s *scene) { s.change(".m.rule.encrypted", "enabled", false) }, []string{"twins_differ"}, "only one of them notifies: .m.rule.message",
		},
		"mentions": {
			func(s *scene) {
				s.change(".m.rule.is_user_mention", "enabled", false)
				s.change(".m.rule.contains_display_name", "enabled", false)
			}, []string{"mention_rule_silent"}, "a mention of the user doesn't notify",
		},
		"a sender rule": {func(s *scene) { s.add("sender", "@bob:hs.test", "") }, []string{"sender_rule_ignored"}, "sender/@bob:hs.test has no effect"},
		"a sender rule at another homeserver": {
			func(s *scene) {
				s.server = "tuwunel/1.4"
				s.add("sender", "@bob:hs.test", "")
			}, nil, "",
		},
		"a Chinese keyword": {
			func(s *scene) { s.add("content", "cake", `"pattern":"蛋糕","actions":["notify"]`) }, []string{"keyword_needs_boundaries"}, "content/cake",
		},
		"a Chinese keyword with stars": {func(s *scene) { s.add("content", "cake", `"pattern":"*蛋糕*","actions":["notify"]`) }, nil, ""},
		"an empty keyword": {
			func(s *scene) { s.add("content", "cake", `"pattern":"","actions":["notify"]`) }, []string{"keyword_never_matches"}, "its pattern is empty",
		},
		"an unknown condition": {
			func(s *scene) { s.add("override", "moon", `"conditions":[{"kind":"org.example.moon"}]`) }, []string{"condition_unknown"}, `"org.example.moon"`,
		},
		"a malformed condition": {
			func(s *scene) { s.add("override", "bad", `"conditions":[{"kind":"room_member_count","is":5}]`) }, []string{"rule_malformed"}, "is: not a string",
		},
		"a malformed condition at a homeserver that stumbles over it": {
			func(s *scene) {
				s.server = "Dendrite"
				s.add("override", "bad", `"enabled":false,"conditions":[{"kind":"room_member_count","is":5}]`)
			}, []string{"rule_breaks_homeserver"}, "After one malformed condition, it sends no push.",
		},
		"a rule behind another with the same conditions": {
			func(s *scene) {
				s.add("override", "second", inRoom("!tea"))
				s.add("override", "first", inRoom("!tea"))
			}, []string{"room_muted", "rule_shadowed"}, "override/second never decides, because override/first has the same conditions",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			c.change(s)
			r := s.examine()
			r.wantCodes(t, c.codes...)
			if c.text != "" {
				r.wantText(t, c.codes[len(c.codes)-1], c.text)
			}
		})
	}
}

func TestARulesetOfAnotherShapeIsOneSentence(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.rules = map[string]any{"override": "none"}
	_, err := s.run()
	if err == nil || !strings.HasSuffix(err.Error(), "override: not a list of rules") || !strings.Contains(err.Error(), "the push rules of http://127.0.0.1:") {
		t.Errorf("got %v", err)
	}
}

func TestAHomeserverThatShowsNoProfileIsExamined(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.refusals = []string{"/v3/profile/" + alice + "/displayname"}
	s.examine().wantCodes(t)
}

func TestAHomeserverWithoutMentionRulesIsNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var list []any
	for _, rule := range s.rules["override"].([]any) {
		if rule.(map[string]any)["rule_id"] != ".m.rule.is_user_mention" {
			list = append(list, rule)
		}
	}
	s.rules["override"] = list
	s.examine().wantCodes(t, "no_mention_rules")
}

func TestManyMutedRoomsTakeAtMostTenRequests(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for i := range 30 {
		id := fmt.Sprintf("!%d", i)
		s.rooms[id] = map[string]string{"m.room.name": `{"name":"A room"}`, "m.room.encryption": `{}`}
		s.add("room", id, "")
	}
	r := s.examine()
	if r.Homeserver.Requests > 10 || len(r.Findings) != 30 {
		t.Errorf("%d requests, %d findings", r.Homeserver.Requests, len(r.Findings))
	}
}

func TestTheAdviceForKeywordsInSentencesWithoutSpacesHelps(t *testing.T) {
	t.Parallel()
	for pattern, matches := range map[string]bool{"蛋糕": false, "*蛋糕*": true} {
		rules, err := pushrules.Parse(fmt.Appendf(nil, `{"content":[{"rule_id":"cake","enabled":true,"actions":["notify"],"pattern":%q}]}`, pattern))
		if err != nil {
			t.Fatal(err)
		}
		event, err := pushrules.ParseEvent([]byte(`{"type":"m.room.message","content":{"body":"我喜欢蛋糕的"}}`))
		if err != nil {
			t.Fatal(err)
		}
		r, err := pushrules.Evaluate(t.Context(), rules, event, &pushrules.Viewer{UserID: alice}, pushrules.Options{Reading: pushrules.Synapse})
		if err != nil || r.Notify != matches {
			t.Errorf("%s: %v, %v", pattern, r, err)
		}
	}
}
