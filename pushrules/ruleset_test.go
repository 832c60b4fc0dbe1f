package pushrules_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

func TestQ13_EachFormOfARulesetIsRead(t *testing.T) {
	t.Parallel()
	const inner = `{"override":[{"rule_id":"mine","enabled":true,"conditions":[],"actions":["notify"]}],"underride":[]}`
	for form, text := range map[string]string{
		"the answer to GET /pushrules/": `{"global":` + inner + `}`,
		"the member global":             inner,
		"the account data":              `{"type":"m.push_rules","content":{"global":` + inner + `}}`,
	} {
		if r := evaluate(t, text, message, pushrules.Options{}); r.Rule == nil || r.Rule.Name() != "override/mine" || !r.Notify {
			t.Errorf("%s: %s", form, r)
		}
	}
	for text, problem := range map[string]string{
		`[`:                     "not a JSON object",
		`[]`:                    "not a JSON object",
		`{}`:                    "not a ruleset",
		`{"global":5}`:          "global: not an object",
		`{"override":{}}`:       "override: not a list",
		`{"global":{"room":1}}`: "room: not a list",
	} {
		if _, err := pushrules.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestQ14_WhatIsUnknownIsKeptAndShown(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/odd.json")
	if err != nil {
		t.Fatal(err)
	}
	rules := parse(t, data)
	var got, want any
	kept, err := json.Marshal(rules)
	if err != nil || json.Unmarshal(kept, &got) != nil || json.Unmarshal(data, &want) != nil {
		t.Fatal(err)
	}
	equal(t, nil, got, want)
	if rules.Other["org.example.member"] == nil || rules.Other["org.example.top"] == nil {
		t.Errorf("unknown members: %v", rules.Other)
	}
	r := evaluate(t, string(data), message, pushrules.Options{All: true})
	if r.Rule.ID != "unknown_action" || len(r.Rule.Actions) != 6 || r.Rule.Actions[1].Known() || !r.Rule.Actions[3].Known() {
		t.Errorf("the rule is %+v", r.Rule)
	}
	if !strings.Contains(string(r.Rule.Raw), "org.example.note") {
		t.Errorf("the rule is %s", r.Rule.Raw)
	}
	equal(t, r, r.Tweaks, map[string]any{"org.example.colour": map[string]any{"red": 1}})
	if v := verdicts(r); v["from_the_future"] != pushrules.UnknownKind || v["unknown_condition"] != pushrules.Failed {
		t.Errorf("the verdicts are %v", v)
	}
	text := r.String()
	if !strings.Contains(text, `"phase":"full"`) || !strings.Contains(text, "unknown condition; your homeserver may know it") {
		t.Errorf("the trace is %s", text)
	}
}

func TestQ15_AMalformedConditionNeverHoldsAndIsNamed(t *testing.T) {
	t.Parallel()
	for condition, problem := range map[string]string{
		`5`:                                      "not an object",
		`null`:                                   "not an object",
		`{}`:                                     "no kind",
		`{"kind":5}`:                             "no kind",
		`{"kind":"event_match"}`:                 "missing",
		`{"kind":"room_member_count"}`:           "is: missing",
		`{"kind":"event_property_is"}`:           "missing",
		`{"kind":"room_member_count","is":5}`:    "is: not a string",
		`{"kind":"room_member_count","is":"=2"}`: "is: not a number",
		`{"kind":"event_match","key":"type","pattern":{}}`:                      "pattern: not a string",
		`{"kind":"event_property_is","key":[],"value":1}`:                       "key: not a string",
		`{"kind":"sender_notification_permission"}`:                             "key: missing",
		`{"kind":"event_match","key":"type","pattern":"` + long(9<<10) + `"}`:   "pattern: longer than 8192 bytes",
		`{"kind":"sender_notification_permission","key":"room"}`:                "power level is unknown",
		`{"kind":"event_property_contains","key":"content.body","value":[1,2]}`: "not a list",
	} {
		for _, reading := range []pushrules.Reading{pushrules.Spec, pushrules.Synapse} {
			r := evaluate(t, override(`"conditions":[`+condition+`]`), message, pushrules.Options{Reading: reading})
			if r.Rule != nil || !strings.Contains(r.String(), problem) {
				t.Errorf("%s: %s", condition, r)
			}
		}
	}
	for rule, problem := range map[string]string{
		`5`:                              "the rule is not an object",
		`{"actions":[]}`:                 "the rule has no rule_id",
		`{"rule_id":"a","conditions":1}`: "conditions is not a list",
	} {
		r := evaluate(t, `{"override":[`+rule+`]}`, message, pushrules.Options{})
		if r.Rule != nil || !strings.Contains(r.String(), problem) {
			t.Errorf("%s: %s", rule, r)
		}
	}
}

func TestRulesOfADeviceComeBeforeGlobalOnes(t *testing.T) {
	t.Parallel()
	rules := parse(t, []byte(`{"global":{"override":[{"rule_id":"g","actions":[]}]},
		"device":{"office":{"underride":[{"rule_id":"w","actions":["notify"],"conditions":[{"kind":"profile_tag","profile_tag":"office"}]}]}}}`))
	for tag, want := range map[string]string{"office": "device/office/underride/w", "": "override/g", "home": "override/g"} {
		viewer := &pushrules.Viewer{UserID: alice, ProfileTag: tag}
		r, err := pushrules.Evaluate(t.Context(), rules, event(t, []byte(message)), viewer, pushrules.Options{Age: "r0.0.0"})
		if err != nil || r.Rule.Name() != want {
			t.Errorf("%s: %v %s", tag, err, r)
		}
	}
}

func TestAnEventWithoutTypeOrShapeIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `[]`, `null`, `{}`, `{"type":5}`, `{"type":"a"}{}`, `{"type":"a"} x`, `{`} {
		if e, err := pushrules.ParseEvent([]byte(text)); err == nil {
			t.Errorf("%s became %+v", text, e)
		}
	}
}

func TestDefaultsAreThoseOfTheNewestChange(t *testing.T) {
	t.Parallel()
	for age, rules := range map[string]int{
		"r0.0.0": 13, "r0.6.1": 13, "v1.1": 13, "v1.2": 13, "v1.5": 14, "v1.8": 17, "v1.16": 18, "v1.19": 15, "": 15, pushrules.SynapseAge: 19,
	} {
		got, err := pushrules.Defaults(age, alice)
		if err != nil || len(got.Rules) != rules {
			t.Errorf("%s: %v, %d rules", age, err, len(got.Rules))
		}
	}
	if _, err := pushrules.Defaults("latest", alice); err == nil {
		t.Error("no error for an unknown age")
	}
}
