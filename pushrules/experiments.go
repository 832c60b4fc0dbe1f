package pushrules

import "slices"

// Experiments returns the proposals that a homeserver can turn on, and that change default rules or conditions.
func Experiments() []string {
	return []string{"msc1767", "msc3381_polls", "msc3664", "msc4028", "msc4075", "msc4210", "msc4306"}
}

// extensibleEvents is the feature of a room version with extensible events (MSC3932).
const extensibleEvents = "org.matrix.msc3932.extensible_events"

func (e *evaluation) extensible() bool { return slices.Contains(e.viewer.Features, extensibleEvents) }

// survives has the rules that also count in rooms with extensible events, without asking for the feature (MSC3932).
var survives = []string{"override/.m.rule.master", "override/.m.rule.roomnotif", "content/.m.rule.contains_user_name"}

// outdated reports whether the room version turns a rule off.
func (e *evaluation) outdated(r *Rule) bool {
	return e.experiment("msc1767") && e.extensible() && !slices.Contains(survives, r.Name()) &&
		!slices.ContainsFunc(r.Conditions, func(c Condition) bool { return c.Kind == roomSupports })
}

// subscription evaluates the condition of MSC4306. It never holds outside a thread.
func (e *evaluation) subscription(c *Condition) Tried {
	if e.viewer.Subscribed == nil {
		return failed("the event is not in a thread")
	}
	return Tried{Met: *e.viewer.Subscribed, Holds: c.Members["subscribed"] == *e.viewer.Subscribed}
}

// related evaluates the condition of MSC3664: an event_match for the event that this one relates to.
func (e *evaluation) related(c *Condition) Tried {
	relates, _ := e.event.content("m.relates_to")
	members, _ := relates.(map[string]any)
	id, _ := members["event_id"].(string)
	relation := c.Members["rel_type"]
	if relation == "m.in_reply_to" {
		reply, _ := members["m.in_reply_to"].(map[string]any)
		id, _ = reply["event_id"].(string)
		if members["rel_type"] == "m.thread" && members["is_falling_back"] == true && c.Members["include_fallbacks"] != true {
			return failed("the reply is only a fallback for a thread")
		}
	} else if members["rel_type"] != relation {
		return failed("the event has no such relation")
	}
	other := e.viewer.Related[id]
	switch {
	case other == nil:
		return failed("the related event is unknown")
	case c.Members["key"] == nil && c.Members["pattern"] == nil:
		return Tried{Met: id, Holds: true}
	}
	_, hasKey := c.Members["key"].(string)
	_, hasPattern := c.Members["pattern"].(string)
	if !hasKey || !hasPattern {
		return failed("key and pattern: both must be strings")
	}
	return e.match(other, c)
}
