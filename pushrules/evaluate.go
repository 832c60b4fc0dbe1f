package pushrules

import (
	"context"
	"slices"
	"strings"
)

// Verdict is what came of a rule.
type Verdict string

// The verdicts.
const (
	Matched     Verdict = "matched"
	Failed      Verdict = "failed"
	Disabled    Verdict = "disabled"
	Malformed   Verdict = "malformed"
	UnknownKind Verdict = "unknown_kind"
	// OtherDevice is for rules of another profile tag.
	OtherDevice Verdict = "other_device"
	// LegacyMention is for the three older mention rules. They don't count if the event has m.mentions, or if the homeserver has removed
	// them.
	LegacyMention Verdict = "legacy_mention"
	// RoomVersion is for rules that don't count in rooms with extensible events.
	RoomVersion Verdict = "room_version"
)

// Step is a rule that was tried.
type Step struct {
	Rule       *Rule
	Verdict    Verdict
	Conditions []Tried
}

// Why no rule is tried.
const (
	OwnEvent      = "own_event"
	IgnoredSender = "ignored_sender"
	MemberOfOther = "member_event_of_another"
)

// Result is what the rules make of an event.
type Result struct {
	Reading Reading
	// Skipped is the reason why no rule was tried, or empty.
	Skipped string
	// Steps has the rules that were tried, in order.
	Steps []Step
	// Rule is the rule that decides, or nil.
	Rule *Rule
	// Notify reports whether the user is notified. Without it, there is no push, and nothing is counted as unread.
	Notify bool
	// Tweaks has the tweaks of the push, such as sound and highlight. It is nil if the user is not notified.
	Tweaks map[string]any
	// Encrypted reports that the client decrypts the event, and evaluates its rules again.
	Encrypted bool
}

// legacy has the mention rules that m.mentions replaces: https://spec.matrix.org/v1.7/client-server-api/#user-and-room-mentions
var legacy = []string{"override/.m.rule.contains_display_name", "content/.m.rule.contains_user_name", "override/.m.rule.roomnotif"}

// Evaluate tries the rules in order. The first that matches decides. It returns an error for unknown options, or if the context is done.
func Evaluate(ctx context.Context, rules *Ruleset, event *Event, viewer *Viewer, options Options) (*Result, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	e := &evaluation{Options: options, event: event, viewer: viewer}
	r := &Result{Reading: options.Reading, Encrypted: event.Encrypted()}
	if r.Reading == "" {
		r.Reading = Spec
	}
	if r.Skipped = e.skipped(); r.Skipped != "" {
		return r, nil
	}
	_, mentions := event.content("m.mentions")
	gate := mentions && e.since(7) || e.experiment("msc4210")
	for i := range rules.Rules {
		step := e.step(ctx, &rules.Rules[i], gate)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.Steps = append(r.Steps, step)
		if step.Verdict != Matched || r.Rule != nil {
			continue
		}
		r.Rule = step.Rule
		r.Notify, r.Tweaks = effect(step.Rule.Actions, !e.since(7))
		if !options.All {
			break
		}
	}
	return r, nil
}

// skipped returns why no rule is tried.
func (e *evaluation) skipped() string {
	stateKey, isState := e.event.StateKey()
	switch {
	case e.event.Sender() == e.viewer.UserID && e.viewer.UserID != "":
		return OwnEvent
	case !isState && slices.Contains(e.viewer.Ignored, e.event.Sender()):
		return IgnoredSender
	case e.synapse() && e.event.Type() == "m.room.member" && stateKey != e.viewer.UserID:
		return MemberOfOther
	}
	return ""
}

// step tries one rule. It ends early if the context is done, because one rule may have many conditions.
func (e *evaluation) step(ctx context.Context, r *Rule, gate bool) Step {
	s := Step{Rule: r, Verdict: Matched}
	switch {
	case !slices.Contains(Kinds(), r.Kind):
		s.Verdict = UnknownKind
	case r.Problem != "":
		s.Verdict = Malformed
	case !r.Enabled:
		s.Verdict = Disabled
	case r.Device != "" && r.Device != e.viewer.ProfileTag:
		s.Verdict = OtherDevice
	case gate && slices.Contains(legacy, r.Name()):
		s.Verdict = LegacyMention
	case e.outdated(r):
		s.Verdict = RoomVersion
	}
	if s.Verdict != Matched {
		return s
	}
	for i := range r.Conditions {
		t := e.try(&r.Conditions[i])
		t.Condition = &r.Conditions[i]
		s.Conditions = append(s.Conditions, t)
		if !t.Holds {
			s.Verdict = Failed
		}
		if ctx.Err() != nil || !t.Holds && !e.All {
			break
		}
	}
	return s
}

// String returns the trace, with one line for each rule and for each condition, and the decision.
func (r *Result) String() string {
	var b strings.Builder
	for i := range r.Steps {
		s := &r.Steps[i]
		b.WriteString(s.Rule.Name() + ": " + string(s.Verdict) + "\n")
		if s.Rule.Problem != "" {
			b.WriteString("  " + s.Rule.Problem + "\n")
		}
		for j := range s.Conditions {
			b.WriteString("  " + s.Conditions[j].String() + "\n")
		}
	}
	return b.String() + r.Summary() + "\n"
}
