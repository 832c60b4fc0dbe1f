package pushrules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Kinds of rules, in the order in which they are tried. MSC4306 adds postcontent.
const (
	Override    = "override"
	Content     = "content"
	PostContent = "postcontent"
	Room        = "room"
	Sender      = "sender"
	Underride   = "underride"
)

// Kinds returns the known kinds of rules, in the order in which they are tried.
func Kinds() []string { return []string{Override, Content, PostContent, Room, Sender, Underride} }

// Ruleset is all rules of a user, in the order in which they are tried. Rules of unknown kinds come last, and never match.
type Ruleset struct {
	Rules []Rule
	// Other has the members of the ruleset that are not lists of rules, by their names.
	Other map[string]json.RawMessage

	source []byte
}

// Rule is one push rule.
type Rule struct {
	// Device is the profile tag of the devices for which the rule is. It is empty for global rules. Only drafts of 2015 and 2016 have such
	// rules.
	Device string
	Kind   string
	ID     string
	// Default reports whether the rule comes from the homeserver.
	Default bool
	Enabled bool
	// Conditions are the rule's conditions, or for the kinds content, room and sender the condition that follows from the kind.
	Conditions []Condition
	Actions    []Action
	// Problem describes why the rule is malformed. A malformed rule never matches.
	Problem string
	// Raw is the rule as the homeserver serves it, with all members.
	Raw json.RawMessage
}

// Name returns the kind and the id, such as "override/.m.rule.master".
func (r *Rule) Name() string {
	if r.Device != "" {
		return "device/" + r.Device + "/" + r.Kind + "/" + r.ID
	}
	return r.Kind + "/" + r.ID
}

// MarshalJSON returns the ruleset as it was parsed, with all unknown members.
func (r *Ruleset) MarshalJSON() ([]byte, error) {
	if r.source == nil {
		return []byte("{}"), nil
	}
	return r.source, nil
}

// Parse reads a ruleset: the answer to GET /pushrules/, its member global, or the account data m.push_rules.
func Parse(data []byte) (*Ruleset, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(data, &top); err != nil {
		return nil, fmt.Errorf("the ruleset is not a JSON object: %w", err)
	}
	set := &Ruleset{source: bytes.Clone(data), Other: map[string]json.RawMessage{}}
	if content, ok := top["content"]; ok && isObject(content) {
		for name, value := range top {
			if name != "content" {
				set.Other[name] = value
			}
		}
		top = object(content)
	}
	if err := set.scopes(top); err != nil {
		return nil, err
	}
	return set, nil
}

// scopes adds the rules of all scopes. Rules of devices come before all global ones, as in the drafts of 2016.
func (r *Ruleset) scopes(top map[string]json.RawMessage) error {
	global, hasGlobal := top["global"]
	if !hasGlobal {
		if !slices.ContainsFunc(Kinds(), func(kind string) bool { return top[kind] != nil }) {
			return errors.New("not a ruleset: it has no member global, override, content, room, sender or underride")
		}
		return r.kinds("", top)
	}
	if !isObject(global) {
		return errors.New("global: not an object of lists of rules")
	}
	for name, value := range top {
		if name != "global" && name != "device" {
			r.Other[name] = value
		}
	}
	if devices, ok := top["device"]; ok {
		if !isObject(devices) {
			r.Other["device"] = devices
		}
		byTag := object(devices)
		for _, tag := range slices.Sorted(maps.Keys(byTag)) {
			if err := r.kinds(tag, object(byTag[tag])); err != nil {
				return fmt.Errorf("device: %s: %w", tag, err)
			}
		}
	}
	return r.kinds("", object(global))
}

// kinds adds the rules of one scope.
func (r *Ruleset) kinds(device string, lists map[string]json.RawMessage) error {
	known := Kinds()
	var unknown []string
	for name := range lists {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for i, kind := range slices.Concat(known, unknown) {
		list, ok := lists[kind]
		if !ok {
			continue
		}
		var rules []json.RawMessage
		if err := json.Unmarshal(list, &rules); err != nil {
			if i < len(known) {
				return fmt.Errorf("%s: not a list of rules", kind)
			}
			r.Other[kind] = list
			continue
		}
		for _, raw := range rules {
			r.Rules = append(r.Rules, parseRule(device, kind, raw))
		}
	}
	return nil
}

// parseRule reads one rule. It never fails: a malformed rule names its problem.
func parseRule(device, kind string, raw json.RawMessage) Rule {
	rule := Rule{Device: device, Kind: kind, Enabled: true, Raw: raw}
	members, ok := decode(raw).(map[string]any)
	if !ok {
		rule.Problem = "the rule is not an object"
		return rule
	}
	rule.ID, ok = members["rule_id"].(string)
	if !ok {
		rule.Problem = "the rule has no rule_id"
	}
	rule.Default, _ = members["default"].(bool)
	if enabled, ok := members["enabled"].(bool); ok {
		rule.Enabled = enabled
	}
	rule.Actions = parseActions(members["actions"])
	switch kind {
	case Content:
		implied := map[string]any{"kind": eventMatch, "key": bodyKey}
		if pattern, ok := members["pattern"]; ok {
			implied["pattern"] = pattern
		}
		rule.Conditions = []Condition{parseCondition(implied)}
	case Room, Sender:
		rule.Conditions = []Condition{{Kind: kind, Pattern: rule.ID}}
	default:
		list, isList := members["conditions"].([]any)
		if !isList && members["conditions"] != nil {
			rule.Problem = "conditions is not a list"
		}
		for _, c := range list {
			rule.Conditions = append(rule.Conditions, parseCondition(c))
		}
	}
	return rule
}
