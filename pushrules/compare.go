package pushrules

import (
	"context"
	"strings"
)

// Difference is a way in which Synapse leaves the specification.
type Difference struct {
	// Code names the difference. It is also its anchor on the page docs/pushrules.md.
	Code string
	// Text describes what Synapse does.
	Text string
}

// The differences.
var (
	differMembers = &Difference{"memberships", "Synapse evaluates a membership only for the user whose membership it is."}
	differSender  = &Difference{"sender-rules", "Synapse compares a sender rule with a member that no event has."}
	differRoom    = &Difference{"room-rules", "Synapse takes the id of a room rule for a pattern."}
	differName    = &Difference{"display-names", "Synapse takes * and ? in a display name for wildcards."}
	differInteger = &Difference{"integers", "Synapse also compares integers of more than 53 bits."}
	differCount   = &Difference{"counts", "Synapse can't read numbers of more than 64 bits."}
	differEscape  = &Difference{"escapes", "Synapse never finds a key with a backslash that escapes nothing."}
	differNewline = &Difference{"newlines", "In Synapse, * and ? don't match a newline."}
	differWords   = &Difference{"words", "Synapse uses Unicode's words, and an edge between a word and a sign is a boundary."}
	differCase    = &Difference{"case", "The specification leaves open what ignoring case means."}
	differAge     = &Difference{"older-versions", "Synapse knows all conditions of the newest specification, whatever the version."}
)

// Comparison is the same event in both readings.
type Comparison struct {
	Spec, Synapse *Result
	// Difference is why the readings decide differently, or nil if they don't.
	Difference *Difference
}

// Compare evaluates the rules in both readings. It ignores the reading in the options.
func Compare(ctx context.Context, rules *Ruleset, event *Event, viewer *Viewer, options Options) (*Comparison, error) {
	var c Comparison
	var err error
	options.Reading = Spec
	if c.Spec, err = Evaluate(ctx, rules, event, viewer, options); err != nil {
		return nil, err
	}
	options.Reading = Synapse
	if c.Synapse, err = Evaluate(ctx, rules, event, viewer, options); err != nil {
		return nil, err
	}
	c.Difference = c.why(&options)
	return &c, nil
}

// why returns the first difference between the traces, if they decide differently.
func (c *Comparison) why(o *Options) *Difference {
	if c.Spec.Rule == c.Synapse.Rule && c.Spec.Skipped == c.Synapse.Skipped && c.Spec.Notify == c.Synapse.Notify {
		return nil
	}
	if c.Synapse.Skipped != c.Spec.Skipped {
		return differMembers
	}
	for i := range min(len(c.Spec.Steps), len(c.Synapse.Steps)) {
		spec, synapse := &c.Spec.Steps[i], &c.Synapse.Steps[i]
		if spec.Verdict == synapse.Verdict {
			continue
		}
		for j := range min(len(spec.Conditions), len(synapse.Conditions)) {
			if spec.Conditions[j].Holds != synapse.Conditions[j].Holds {
				return conditionDiffers(&synapse.Conditions[j], o)
			}
		}
		return differAge
	}
	return differAge
}

// conditionDiffers returns why the readings differ about a condition.
func conditionDiffers(t *Tried, o *Options) *Difference {
	c := t.Condition
	value, _ := t.Met.(string)
	_, odd := path(c.Key, true)
	switch {
	case c.Members == nil && c.Kind == Sender:
		return differSender
	case c.Members == nil:
		return differRoom
	case c.Kind == displayName:
		return differName
	case c.Kind == memberCount:
		return differCount
	case (c.Kind == propertyIs || c.Kind == propertyHas) && specAge(o.Age, 7):
		return differInteger
	case c.Kind != eventMatch:
		return differAge
	case odd:
		return differEscape
	case strings.Contains(value, "\n") && strings.ContainsAny(c.Pattern, "*?"):
		return differNewline
	case c.Key == bodyKey:
		return differWords
	}
	return differCase
}
