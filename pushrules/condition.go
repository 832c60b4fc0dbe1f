package pushrules

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The kinds of conditions that are known.
const (
	eventMatch    = "event_match"
	propertyIs    = "event_property_is"
	propertyHas   = "event_property_contains"
	displayName   = "contains_display_name"
	memberCount   = "room_member_count"
	permission    = "sender_notification_permission"
	profileTag    = "profile_tag"
	roomSupports  = "org.matrix.msc3931.room_version_supports"
	threadIsKnown = "io.element.msc4306.thread_subscription"
	relatedMatch  = "im.nheko.msc3664.related_event_match"
)

// maxPattern is the length of the longest pattern that can match, in bytes. Homeservers accept far less: Synapse has 1 KiB for a whole
// rule.
const maxPattern = 8 << 10

// Condition is one condition of a rule.
type Condition struct {
	Kind string
	// Key and Pattern are empty if the condition has none.
	Key, Pattern string
	// Members has all members, with the unknown ones.
	Members map[string]any
	// Problem describes why the condition is malformed. A malformed condition never holds.
	Problem string
}

// parseCondition reads one condition. It never fails: a malformed condition names its problem.
func parseCondition(value any) Condition {
	members, ok := value.(map[string]any)
	if !ok {
		return Condition{Problem: "the condition is not an object"}
	}
	c := Condition{Members: members}
	if c.Kind, ok = members["kind"].(string); !ok {
		c.Problem = "the condition has no kind"
		return c
	}
	c.Key, _ = members["key"].(string)
	c.Pattern, _ = members["pattern"].(string)
	if len(c.Pattern) > maxPattern {
		c.Problem = fmt.Sprintf("pattern: longer than %d bytes", maxPattern)
	}
	for _, member := range required[c.Kind] {
		name, isText := strings.CutSuffix(member, ":text")
		given, ok := members[name]
		_, text := given.(string)
		switch {
		case !ok:
			c.Problem = name + ": missing"
		case isText && !text:
			c.Problem = name + ": not a string"
		}
	}
	return c
}

// Known reports whether a specification, or a proposal that this package knows, has this kind of condition. An unknown condition never
// holds here, but the homeserver may know it.
func (c *Condition) Known() bool {
	_, known := required[c.Kind]
	return known || c.Kind == displayName || c.Members == nil
}

// required has the members that a kind of condition needs. Some of them must be strings.
var required = map[string][]string{
	eventMatch:    {"key:text", "pattern:text"},
	propertyIs:    {"key:text", "value"},
	propertyHas:   {"key:text", "value"},
	memberCount:   {"is:text"},
	permission:    {"key:text"},
	profileTag:    {"profile_tag:text"},
	roomSupports:  {"feature:text"},
	threadIsKnown: {"subscribed"},
	relatedMatch:  {"rel_type:text"},
}

// String returns the condition as JSON, or the meaning of a condition that follows from the kind of its rule.
func (c *Condition) String() string {
	switch {
	case c.Kind == Room && c.Members == nil:
		return "room_id is " + shorten(c.Pattern)
	case c.Kind == Sender && c.Members == nil:
		return "sender is " + shorten(c.Pattern)
	case c.Kind == eventMatch && c.Problem == "":
		return c.Key + " matches " + quote(c.Pattern)
	case c.Members == nil:
		return "malformed condition"
	}
	return show(c.Members)
}

// maxShown is the number of characters of a value that a trace shows.
const maxShown = 80

// shorten returns the beginning of a long text.
func shorten(text string) string {
	n := 0
	for i := range text {
		if n++; n > maxShown {
			return text[:i] + "…"
		}
	}
	return text
}

func quote(text string) string { return fmt.Sprintf("%q", shorten(text)) }

// show returns a value as JSON, shortened.
func show(value any) string {
	if text, ok := value.(string); ok {
		return quote(text)
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // room_member_count has < and >
	if encoder.Encode(value) != nil {
		return fmt.Sprintf("%T", value)
	}
	return shorten(strings.TrimSpace(b.String()))
}
