package pushrules_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

const (
	alice   = "@alice:hs.test"
	message = `{"type":"m.room.message","sender":"@bob:hs.test","room_id":"!room:hs.test","content":{"msgtype":"m.text","body":"hello"}}`
)

func evaluate(t *testing.T, rules, raw string, o pushrules.Options) *pushrules.Result {
	t.Helper()
	r, err := pushrules.Evaluate(t.Context(), parse(t, []byte(rules)), event(t, []byte(raw)), &pushrules.Viewer{UserID: alice, Members: 5}, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// verdicts returns the verdict of each rule, by its id.
func verdicts(r *pushrules.Result) map[string]pushrules.Verdict {
	all := make(map[string]pushrules.Verdict)
	for i := range r.Steps {
		all[r.Steps[i].Rule.ID] = r.Steps[i].Verdict
	}
	return all
}

func override(members string) string {
	return `{"override":[{"rule_id":"mine","actions":["notify"],` + members + `}]}`
}

func long(n int) string { return strings.Repeat("a", n) }

func TestQ16_DisabledRulesAppearAsDisabled(t *testing.T) {
	t.Parallel()
	r := evaluate(t, override(`"enabled":false,"conditions":[]`), message, pushrules.Options{})
	if r.Rule != nil || verdicts(r)["mine"] != pushrules.Disabled {
		t.Errorf("got %s", r)
	}
}

func TestQ17_EachConditionShowsWhatItMet(t *testing.T) {
	t.Parallel()
	body := long(200)
	raw := `{"type":"m.room.message","content":{"body":"` + body + `","n":1}}`
	r := evaluate(t, override(`"conditions":[
		{"kind":"event_match","key":"content.body","pattern":"a*"},
		{"kind":"event_match","key":"content.n","pattern":"1"},
		{"kind":"event_match","key":"content.absent","pattern":"*"},
		{"kind":"room_member_count","is":">4"}
	]`), raw, pushrules.Options{All: true})
	want := []string{
		`holds: content.body matches "a*"; met "` + body[:80] + `…"`,
		`fails: content.n matches "1"; met 1 (not a string)`,
		`fails: content.absent matches "*"; the event has no such member`,
		`holds: the room's number of members is >4; met 5`,
	}
	var got []string
	for i := range r.Steps[0].Conditions {
		got = append(got, r.Steps[0].Conditions[i].String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestQ18_TheFirstMatchEndsTheTraceUnlessAllIsSet(t *testing.T) {
	t.Parallel()
	const rules = `{"override":[{"rule_id":"a","actions":[]},{"rule_id":"b","actions":["notify"]}]}`
	for all, steps := range map[bool]int{false: 1, true: 2} {
		if r := evaluate(t, rules, message, pushrules.Options{All: all}); len(r.Steps) != steps || r.Rule.ID != "a" || r.Notify {
			t.Errorf("all %v: %s", all, r)
		}
	}
}

func TestQ19_TheReasonComesBeforeAnyRule(t *testing.T) {
	t.Parallel()
	viewer := &pushrules.Viewer{UserID: alice, Ignored: []string{"@eve:hs.test"}}
	rules := parse(t, []byte(override(`"conditions":[]`)))
	for raw, want := range map[string][2]string{
		`{"type":"m.x","sender":"@alice:hs.test"}`:                                      {pushrules.OwnEvent, pushrules.OwnEvent},
		`{"type":"m.x","sender":"@eve:hs.test"}`:                                        {pushrules.IgnoredSender, pushrules.IgnoredSender},
		`{"type":"m.x","sender":"@eve:hs.test","state_key":""}`:                         {"", ""},
		`{"type":"m.room.member","sender":"@bob:hs.test","state_key":"@bob:hs.test"}`:   {"", pushrules.MemberOfOther},
		`{"type":"m.room.member","sender":"@bob:hs.test","state_key":"@alice:hs.test"}`: {"", ""},
	} {
		c, err := pushrules.Compare(t.Context(), rules, event(t, []byte(raw)), viewer, pushrules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]string{c.Spec.Skipped, c.Synapse.Skipped}; got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
		if want[0] != "" && (len(c.Spec.Steps) > 0 || !strings.Contains(c.Spec.Summary(), "no rule is tried")) {
			t.Errorf("%s: %s", raw, c.Spec)
		}
	}
}

func TestTheSenderThatSynapsesClientAPIRepeatsIsNotPartOfTheEvent(t *testing.T) {
	t.Parallel()
	const rules = `{"sender":[{"rule_id":"@bob:hs.test","actions":[]}]}`
	const raw = `{"type":"m.room.message","sender":"@bob:hs.test","user_id":"@bob:hs.test"}`
	if r := evaluate(t, rules, raw, pushrules.Options{Reading: pushrules.Synapse}); r.Rule != nil {
		t.Errorf("got %s", r)
	}
	if r := evaluate(t, rules, raw, pushrules.Options{}); r.Rule == nil {
		t.Errorf("got %s", r)
	}
}

func TestQ20_TheClientDecidesAboutAnEncryptedEvent(t *testing.T) {
	t.Parallel()
	r := evaluate(t, override(`"conditions":[]`), `{"type":"m.room.encrypted","content":{}}`, pushrules.Options{})
	if !r.Encrypted || !strings.Contains(r.Summary(), "the client decrypts it") {
		t.Errorf("got %s", r)
	}
}

func TestQ21_MentionsTurnTheLegacyRulesOff(t *testing.T) {
	t.Parallel()
	rules, err := pushrules.Defaults("v1.9", alice)
	if err != nil {
		t.Fatal(err)
	}
	const raw = `{"type":"m.room.message","content":{"body":"alice @room","m.mentions":null}}`
	viewer := &pushrules.Viewer{UserID: alice, DisplayName: "Alice", Members: 5}
	r, err := pushrules.Evaluate(t.Context(), rules, event(t, []byte(raw)), viewer, pushrules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{".m.rule.contains_display_name", ".m.rule.contains_user_name", ".m.rule.roomnotif"} {
		if v := verdicts(r)[id]; v != pushrules.LegacyMention {
			t.Errorf("%s: %s", id, v)
		}
	}
	if r.Rule.ID != ".m.rule.message" {
		t.Errorf("got %s", r)
	}
}

func TestQ22_TheReadingsDifferForANamedReason(t *testing.T) {
	t.Parallel()
	differ := make(map[string]int)
	for _, c := range corpus(t) {
		options := pushrules.Options{Experiments: c.experiments()}
		got, err := pushrules.Compare(t.Context(), c.rules(t, pushrules.SynapseAge), event(t, c.Input.Event), c.viewer(t), options)
		if err != nil {
			t.Fatal(err)
		}
		if (got.Difference != nil) != (c.Spec != nil || leftOpen[c.Name]) {
			t.Errorf("%s: %v", c.Name, got.Difference)
		}
		if got.Difference != nil {
			differ[got.Difference.Code]++
		}
	}
	equal(t, nil, differ, map[string]int{
		"memberships": 3, "sender-rules": 1, "room-rules": 2, "newlines": 3, "escapes": 1, "words": 8, "display-names": 3, "counts": 1,
		"case": 1,
	})
	const large = `{"type":"m.x","content":{"n":9007199254740993}}`
	rules := parse(t, []byte(override(`"conditions":[{"kind":"event_property_is","key":"content.n","value":9007199254740993}]`)))
	got, err := pushrules.Compare(t.Context(), rules, event(t, []byte(large)), &pushrules.Viewer{UserID: alice}, pushrules.Options{})
	if err != nil || got.Difference == nil || got.Difference.Code != "integers" {
		t.Errorf("a large integer: %v, %+v", err, got)
	}
	differ["integers"]++
	got, err = pushrules.Compare(t.Context(), rules, event(t, []byte(large)), &pushrules.Viewer{UserID: alice}, pushrules.Options{Age: "v1.6"})
	if err != nil || got.Difference == nil || got.Difference.Code != "older-versions" {
		t.Errorf("a condition of v1.7: %v, %+v", err, got)
	}
	differ["older-versions"]++
	page, err := os.ReadFile("../docs/pushrules.md")
	if err != nil {
		t.Fatal(err)
	}
	for code := range differ {
		if !strings.Contains(string(page), `<a id="`+code+`"></a>`) {
			t.Errorf("docs/pushrules.md doesn't explain %s", code)
		}
	}
}

func TestQ23_WithoutNotifyThereIsNoPushAndNoCount(t *testing.T) {
	t.Parallel()
	for actions, want := range map[string]string{
		`[]`:                                   "override/mine decides without notify: no push, no count.",
		`["dont_notify"]`:                      "override/mine decides without notify: no push, no count.",
		`[{"set_tweak":"highlight"}]`:          "override/mine decides without notify: no push, no count.",
		`["coalesce"]`:                         "override/mine decides without notify: no push, no count.",
		`["dont_notify","notify"]`:             "override/mine decides: notify.",
		`["notify",{"set_tweak":"highlight"}]`: "override/mine decides: notify, with highlight true.",
		`["notify",{"set_tweak":"sound"}]`:     "override/mine decides: notify, with sound true.",
		`["notify",{"set_tweak":"a","value":1},{"set_tweak":"a","value":2}]`: "override/mine decides: notify, with a 2.",
	} {
		r := evaluate(t, `{"override":[{"rule_id":"mine","actions":`+actions+`}]}`, message, pushrules.Options{})
		if got := r.Summary(); got != want {
			t.Errorf("%s: %s", actions, got)
		}
	}
	if got := evaluate(t, `{"override":[]}`, message, pushrules.Options{}).Summary(); got != "No rule matches: no push, no count." {
		t.Error(got)
	}
	if r := evaluate(t, `{"override":[{"rule_id":"mine","actions":["coalesce"]}]}`, message, pushrules.Options{Age: "v1.6"}); !r.Notify {
		t.Errorf("before v1.7, coalesce notifies: %s", r)
	}
}

func TestAnEvaluationEndsWithItsContextAndNamesUnknownOptions(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rules, e, v := parse(t, []byte(override(`"conditions":[]`))), event(t, []byte(message)), &pushrules.Viewer{}
	if _, err := pushrules.Evaluate(ctx, rules, e, v, pushrules.Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, o := range []pushrules.Options{{Reading: "dendrite"}, {Age: "1.7"}, {Age: "v2"}, {Age: "v1."}} {
		if _, err := pushrules.Evaluate(t.Context(), rules, e, v, o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

func TestAConditionIsDescribedInWordsUnlessItIsUnknownOrMalformed(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]string{
		`"kind":"event_match","key":"type","pattern":"m.*"`:              `type matches "m.*"`,
		`"kind":"event_property_is","key":"content.n","value":null`:      `content.n is null`,
		`"kind":"event_property_contains","key":"content.n","value":"a"`: `content.n contains "a"`,
		`"kind":"contains_display_name"`:                                 `content.body contains the display name`,
		`"kind":"room_member_count","is":"<=3"`:                          `the room's number of members is <=3`,
		`"kind":"sender_notification_permission","key":"room"`:           `the sender's power level is enough for "room"`,
		`"kind":"room_member_count","is":3`:                              `{"is":3,"kind":"room_member_count"}`,
		`"kind":"org.example.moon","phase":"full"`:                       `{"kind":"org.example.moon","phase":"full"}`,
	} {
		r := evaluate(t, override(`"conditions":[{`+members+`}]`), message, pushrules.Options{})
		if got := r.Steps[0].Rule.Conditions[0].String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAllExperimentsOfTheDefaultRulesAreKnown(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("defaults.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for name := range all {
		if _, experiment, ok := strings.Cut(name, "+"); ok && !slices.Contains(pushrules.Experiments(), experiment) {
			t.Errorf("Experiments lacks %s", experiment)
		}
	}
}
