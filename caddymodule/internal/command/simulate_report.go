package command

import (
	"encoding/json"

	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// simulationReport is the result of simulate as JSON.
type simulationReport struct {
	Software string          `json:"software"`
	Rules    string          `json:"rules"`
	Event    json.RawMessage `json:"event"`
	Facts    reportedFacts   `json:"facts"`
	// Evaluated is false if the homeserver evaluates no rules, because the user is not in the room.
	Evaluated bool `json:"evaluated"`
	// Push reports whether the homeserver sends a push.
	Push     bool           `json:"push"`
	Decision decisionReport `json:"decision"`
	// Other is the decision in the other reading; absent if it is the same.
	Other      *decisionReport   `json:"other,omitempty"`
	Difference *differenceReport `json:"difference,omitempty"`
	Note       string            `json:"note,omitempty"`
	// Prio is the priority of the push, and Requests has the notify request for each format; absent without a push.
	Prio     string                    `json:"prio,omitempty"`
	Requests map[string]map[string]any `json:"requests,omitempty"`
	// Format is the format of the device, whose request Preview is about.
	Format  string          `json:"format,omitempty"`
	Preview json.RawMessage `json:"preview,omitempty"`
}

// reportedFacts are the facts that were used.
type reportedFacts struct {
	UserID      string           `json:"user_id"`
	DisplayName string           `json:"display_name,omitempty"`
	Membership  string           `json:"membership"`
	Members     uint64           `json:"room_member_count"`
	Power       *int64           `json:"sender_power_level"`
	Levels      map[string]int64 `json:"notification_levels,omitempty"`
	Ignored     []string         `json:"ignored_users,omitempty"`
}

type differenceReport struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Page string `json:"page"`
}

// decisionReport is what the rules decide in a reading.
type decisionReport struct {
	Reading   string            `json:"reading"`
	Summary   string            `json:"summary"`
	Notify    bool              `json:"notify"`
	Skipped   string            `json:"skipped,omitempty"`
	Rule      string            `json:"rule,omitempty"`
	Actions   []json.RawMessage `json:"actions"`
	Tweaks    map[string]any    `json:"tweaks"`
	Encrypted bool              `json:"encrypted"`
	Trace     []stepReport      `json:"trace"`
}

type stepReport struct {
	Rule       string            `json:"rule"`
	Default    bool              `json:"default"`
	Verdict    string            `json:"verdict"`
	Problem    string            `json:"problem,omitempty"`
	Conditions []conditionReport `json:"conditions"`
}

type conditionReport struct {
	Kind    string         `json:"kind"`
	Key     string         `json:"key,omitempty"`
	Pattern string         `json:"pattern,omitempty"`
	Members map[string]any `json:"condition,omitempty"`
	Holds   bool           `json:"holds"`
	Met     string         `json:"met,omitempty"`
	Why     string         `json:"why,omitempty"`
}

// report returns the simulation as JSON has it.
func (s *simulation) report() *simulationReport {
	r := &simulationReport{
		Software: string(s.software), Note: s.software.Note(), Rules: s.source, Event: s.rawEvent, Evaluated: !s.passed, Push: s.notifies(),
		Decision: decided(s.result),
		Facts: reportedFacts{
			UserID: s.facts.UserID, DisplayName: s.viewer.DisplayName, Membership: s.facts.membership(s.event), Members: s.facts.Members,
			Power: s.facts.Power, Levels: s.facts.Levels, Ignored: s.facts.Ignored,
		},
	}
	if d := s.difference; d != nil {
		other := decided(s.other)
		r.Other, r.Difference = &other, &differenceReport{Code: d.Code, Text: d.Text, Page: rulesPage + "#" + d.Code}
	}
	if r.Push {
		r.Prio, r.Requests = s.software.Prio(s.result), s.requests
	}
	if s.previewed != nil {
		r.Format, r.Preview = s.format, s.previewed.raw
	}
	return r
}

func decided(r *pushrules.Result) decisionReport {
	d := decisionReport{
		Reading: string(r.Reading), Summary: r.Summary(), Notify: r.Notify, Skipped: r.Skipped, Encrypted: r.Encrypted, Tweaks: r.Tweaks,
		Actions: []json.RawMessage{}, Trace: make([]stepReport, len(r.Steps)),
	}
	if d.Tweaks == nil {
		d.Tweaks = map[string]any{}
	}
	if r.Rule != nil {
		d.Rule = r.Rule.Name()
		for _, a := range r.Rule.Actions {
			d.Actions = append(d.Actions, a.Raw)
		}
	}
	for i := range r.Steps {
		d.Trace[i] = stepped(&r.Steps[i])
	}
	return d
}

func stepped(s *pushrules.Step) stepReport {
	r := stepReport{
		Rule: s.Rule.Name(), Default: s.Rule.Default, Verdict: string(s.Verdict), Problem: s.Rule.Problem,
		Conditions: make([]conditionReport, len(s.Conditions)),
	}
	for i := range s.Conditions {
		t := &s.Conditions[i]
		c := t.Condition
		r.Conditions[i] = conditionReport{
			Kind: c.Kind, Key: c.Key, Pattern: c.Pattern, Members: c.Members, Holds: t.Holds, Met: t.Value(), Why: t.Why,
		}
	}
	return r
}
