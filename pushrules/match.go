package pushrules

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Tried is a condition that was tried.
type Tried struct {
	Condition *Condition
	Holds     bool
	// Met is the value that the condition met, and Absent reports that there is none.
	Met    any
	Absent bool
	// Why explains the answer where the value doesn't.
	Why string
}

// Value returns the value that the condition met as JSON, shortened. It is empty if there is none.
func (t *Tried) Value() string {
	if t.Absent {
		return ""
	}
	return show(t.Met)
}

// String returns the condition, the value that it met, and whether it holds.
func (t *Tried) String() string {
	var b strings.Builder
	b.WriteString(map[bool]string{true: "holds: ", false: "fails: "}[t.Holds])
	b.WriteString(t.Condition.String())
	switch {
	case t.Absent && t.Why == "":
		b.WriteString("; the event has no such member")
	case !t.Absent:
		b.WriteString("; met " + t.Value())
	}
	if t.Why != "" {
		b.WriteString(" (" + t.Why + ")")
	}
	return b.String()
}

// evaluation is one event for one user.
type evaluation struct {
	Options
	event  *Event
	viewer *Viewer
	// folded is the lower case of value, the value that was matched last. Many rules match the same value.
	value, folded string
}

// lower returns the lower case of a value.
func (e *evaluation) lower(value string) string {
	if value != e.value || e.folded == "" {
		e.value, e.folded = value, lower(value)
	}
	return e.folded
}

// try evaluates one condition.
func (e *evaluation) try(c *Condition) Tried {
	if c.Problem != "" {
		return failed(c.Problem)
	}
	if c.Members == nil {
		return e.implied(c)
	}
	switch c.Kind {
	case eventMatch:
		return e.match(e.event, c)
	case propertyIs, propertyHas:
		if e.since(7) {
			return e.property(c)
		}
	case displayName:
		return e.displayName()
	case memberCount:
		return e.memberCount(c)
	case permission:
		return e.permission(c)
	case profileTag:
		// It has been gone since r0.1.0.
		if strings.HasPrefix(e.Age, "r0.0.") && !e.synapse() {
			return Tried{Met: e.viewer.ProfileTag, Holds: c.Members["profile_tag"] == e.viewer.ProfileTag}
		}
	case roomSupports:
		if e.experiment("msc1767") {
			return Tried{Met: e.viewer.Features, Holds: e.extensible() && c.Members["feature"] == extensibleEvents}
		}
	case threadIsKnown:
		if e.experiment("msc4306") {
			return e.subscription(c)
		}
	case relatedMatch:
		if e.experiment("msc3664") {
			return e.related(c)
		}
	}
	return failed("unknown condition; your homeserver may know it")
}

func failed(why string) Tried { return Tried{Absent: true, Why: why} }

// implied evaluates the condition of a room rule or a sender rule. Synapse stores both as event_match conditions.
func (e *evaluation) implied(c *Condition) Tried {
	key := map[string]string{Room: "room_id", Sender: "sender"}[c.Kind]
	if !e.synapse() {
		met, ok := e.event.Member(key)
		return Tried{Met: met, Absent: !ok, Holds: ok && met == c.Pattern}
	}
	if c.Kind == Sender {
		t := e.match(e.event, &Condition{Kind: eventMatch, Key: "user_id", Pattern: c.Pattern})
		t.Why = "Synapse compares it with user_id, which events don't have"
		return t
	}
	return e.match(e.event, &Condition{Kind: eventMatch, Key: key, Pattern: c.Pattern})
}

// find returns the value at a key of an event.
func (e *evaluation) find(event *Event, key string) (any, bool) {
	names, odd := path(key, e.since(7))
	if odd && e.synapse() {
		return nil, false
	}
	return find(event.members, names)
}

// match evaluates event_match, for the event or a related one.
func (e *evaluation) match(event *Event, c *Condition) Tried {
	met, ok := e.find(event, c.Key)
	t := Tried{Met: met, Absent: !ok}
	value, isText := met.(string)
	if !isText {
		if ok {
			t.Why = "not a string"
		}
		return t
	}
	t.Holds = glob{
		pattern: c.Pattern, words: c.Key == bodyKey, synapse: e.synapse(), unicode: e.synapse(),
	}.match(e.lower(value))
	return t
}

func (e *evaluation) property(c *Condition) Tried {
	met, ok := e.find(e.event, c.Key)
	t := Tried{Met: met, Absent: !ok}
	if c.Kind == propertyIs {
		t.Holds = ok && same(met, c.Members["value"], e.synapse())
		return t
	}
	list, isList := met.([]any)
	if ok && !isList {
		t.Why = "not a list"
	}
	t.Holds = slices.ContainsFunc(list, func(element any) bool { return same(element, c.Members["value"], e.synapse()) })
	return t
}

// displayName looks for the display name as Synapse does, because the specification doesn't say how. But it is text, and not a pattern.
func (e *evaluation) displayName() Tried {
	met, ok := e.event.content("body")
	t := Tried{Met: met, Absent: !ok}
	value, isText := met.(string)
	switch {
	case e.viewer.DisplayName == "":
		t.Why = "you have no display name"
	case len(e.viewer.DisplayName) > maxPattern:
		t.Why = "your display name is too long"
	case isText:
		g := glob{pattern: e.viewer.DisplayName, words: true, literal: !e.synapse(), synapse: true, unicode: true}
		t.Holds = g.match(e.lower(value))
		t.Why = "your display name is " + quote(e.viewer.DisplayName)
	}
	return t
}

func (e *evaluation) memberCount(c *Condition) Tried {
	is, _ := c.Members["is"].(string)
	digits := strings.TrimLeft(is, "=<>")
	operator, have := is[:len(is)-len(digits)], e.viewer.Members
	t := Tried{Met: have}
	want, err := strconv.ParseUint(digits, 10, 64)
	switch {
	case digits == "" || strings.Trim(digits, "0123456789") != "" || !slices.Contains([]string{"", "==", "<", ">", "<=", ">="}, operator):
		t.Why = "is: not a number with an optional ==, <, >, <= or >="
		return t
	case err != nil && e.synapse():
		t.Why = "is: too large for Synapse"
		return t
	case err != nil:
		want = math.MaxUint64
	}
	switch operator {
	case "", "==":
		t.Holds = have == want
	case "<":
		t.Holds = have < want
	case ">":
		t.Holds = have > want
	case "<=":
		t.Holds = have <= want
	case ">=":
		t.Holds = have >= want
	}
	return t
}

// defaultLevel is the power level that a notification key needs if the room doesn't set it.
const defaultLevel = 50

func (e *evaluation) permission(c *Condition) Tried {
	if e.viewer.SenderPower == nil {
		return failed("the sender's power level is unknown")
	}
	need, ok := e.viewer.Levels[c.Key]
	if !ok {
		need = defaultLevel
	}
	have := *e.viewer.SenderPower
	return Tried{Met: have, Holds: have >= need, Why: "the room needs " + strconv.FormatInt(need, 10)}
}
