package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// rulesPage is the page that explains push rules.
const rulesPage = "https://github.com/matrix-push/caddy-matrix-push/blob/main/docs/pushrules.md"

// verdicts describe what came of a rule.
var verdicts = map[pushrules.Verdict]string{
	pushrules.Matched:       "matches",
	pushrules.Failed:        "doesn't match",
	pushrules.Disabled:      "is disabled",
	pushrules.Malformed:     "is malformed, so it never matches",
	pushrules.UnknownKind:   "is of an unknown kind, so it never matches here",
	pushrules.OtherDevice:   "is for another device",
	pushrules.LegacyMention: "doesn't count: m.mentions replaces it",
	pushrules.RoomVersion:   "doesn't count in this room version",
}

// readings describe the readings.
var readings = map[pushrules.Reading]string{pushrules.Spec: "the specification", pushrules.Synapse: "Synapse"}

// print prints the simulation for people.
func (s *simulation) print(i *invocation) {
	c := yellow
	if s.notifies() {
		c = green
	}
	i.say(c, "%s", s.result.Summary())
	if s.passed {
		membership := s.facts.membership(s.event)
		i.say(yellow, "But %s evaluates no rules for this user: their membership in the room is %q. There is no push.", s.software, membership)
	}
	i.facts(s.described())
	s.printTrace(i, s.result)
	s.printOther(i)
	if s.requests == nil {
		return
	}
	for _, format := range []string{formatFull, formatIDs} {
		fmt.Fprintln(i.out)
		i.say(bold, "Notify request for a pusher with the format %s:", format)
		i.indented(s.requests[format])
	}
	if s.previewed != nil {
		fmt.Fprintln(i.out)
		i.say(bold, "What the gateway makes of it, for a pusher with the format %s:", s.format)
		i.preview(s.previewed.answer)
	}
}

// creatorPower is the power level of a room's creators since room version 12.
const creatorPower = 1 << 53

// described returns the input in a few lines, and what follows from the decision.
func (s *simulation) described() [][2]string {
	e, f := s.event, &s.facts
	event := e.Type()
	if key, isState := e.StateKey(); isState {
		event += " with the state key " + strconv.Quote(key)
	}
	if sender := e.Sender(); sender != "" {
		event += " from " + sender
	}
	name := "no display name"
	if s.viewer.DisplayName != "" {
		name = "display name " + strconv.Quote(s.viewer.DisplayName)
	}
	power := "sender's power level unknown"
	switch {
	case f.Power == nil:
	case *f.Power >= creatorPower:
		power = "sender is a creator, above all power levels"
	default:
		power = "sender's power level " + strconv.FormatInt(*f.Power, 10)
	}
	software := string(s.software)
	if s.assumed {
		software += " (assumed: --software sets another)"
	}
	rows := [][2]string{
		{"Rules", s.source},
		{"Event", event},
		{"User", f.UserID + ", " + name},
		{"Room", describe.Count(int(f.Members), "member", "members") + ", " + power},
		{"Homeserver", software},
		{"Note", s.software.Note()},
		{"Not evaluated", s.unread()},
	}
	if s.notifies() {
		rows = append(rows, [2]string{"Actions", s.actions()}, [2]string{"Priority", s.priority()})
	}
	return rows
}

// unread returns the members of the ruleset that are not lists of rules.
func (s *simulation) unread() string {
	return strings.Join(slices.Sorted(maps.Keys(s.rules.Other)), ", ")
}

// actions returns the actions of the rule that decides, with those that are unknown.
func (s *simulation) actions() string {
	var texts []string
	for _, a := range s.result.Rule.Actions {
		text := compact(a.Raw)
		if !a.Known() {
			text += " (unknown)"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

func (s *simulation) priority() string {
	prio := s.software.Prio(s.result)
	switch {
	case s.software == pushrules.Dendrite:
		return prio + ": Dendrite sends no priority, which means high"
	case prio == "low":
		return prio + ": the event is not encrypted, and the rule sets no sound and no highlight. Android may deliver the push late."
	}
	return prio
}

// printTrace prints the rules that were tried.
func (s *simulation) printTrace(i *invocation, r *pushrules.Result) {
	if len(r.Steps) == 0 {
		return
	}
	fmt.Fprintln(i.out)
	i.say(bold, "Rules, in the order in which they are tried:")
	for n := range r.Steps {
		step := &r.Steps[n]
		c := plain
		if step.Rule == r.Rule {
			c = green
		}
		i.say(c, "%s %s", step.Rule.Name(), verdicts[step.Verdict])
		i.item(step.Rule.Problem)
		for j := range step.Conditions {
			i.item(step.Conditions[j].String())
		}
	}
}

// item prints a line that belongs to the line above.
func (i *invocation) item(text string) {
	if text != "" {
		fmt.Fprintln(i.out, gap+i.style.wrapped(2*len(gap), printable(text)))
	}
}

// printOther prints what the other reading decides, if that differs.
func (s *simulation) printOther(i *invocation) {
	d := s.difference
	if d == nil {
		return
	}
	fmt.Fprintln(i.out)
	i.say(yellow, "According to %s, the decision is different.", readings[s.other.Reading])
	i.facts([][2]string{{"Decision", s.other.Summary()}, {"Reason", d.Text}, {"See", rulesPage + "#" + d.Code}})
}

// indented prints JSON.
func (i *invocation) indented(value any) {
	encoder := json.NewEncoder(i.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value)
}

// compact returns JSON without spaces.
func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return b.String()
}
