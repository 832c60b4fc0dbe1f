package doctor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/matrix-push/caddy-matrix-push/internal/homeserver"
	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// rules evaluates the usual events, and finds rules that keep a phone silent or have no effect.
func (x *examination) rules() error {
	raw, err := x.Homeserver.PushRules(x.ctx)
	if err != nil {
		return err
	}
	set, err := pushrules.Parse(raw)
	if err != nil {
		return fmt.Errorf("the push rules of %s: %w", x.Homeserver.Address(), err)
	}
	name, err := x.Homeserver.DisplayName(x.ctx, x.report.UserID)
	if err != nil && !homeserver.Refused(err) {
		return err
	}
	if err := x.rings(set, name); err != nil {
		return err
	}
	c := ruleCheck{examination: x, set: set, twins: make(map[string]bool)}
	c.defaultRules()
	for i := range set.Rules {
		if r := &set.Rules[i]; !r.Default {
			c.userRule(r)
		}
	}
	return x.ctx.Err()
}

// ruleCheck examines a ruleset.
type ruleCheck struct {
	*examination
	set *pushrules.Ruleset
	// twins has the rules that differ from their twins.
	twins map[string]bool
	// seen are the conditions of the user's rules so far.
	seen []*pushrules.Rule
}

// find returns the default rule with an id; nil if the homeserver has none.
func (c *ruleCheck) find(id string) *pushrules.Rule {
	i := slices.IndexFunc(c.set.Rules, func(r pushrules.Rule) bool { return r.Default && r.ID == id })
	if i < 0 {
		return nil
	}
	return &c.set.Rules[i]
}

// notifies reports whether a rule notifies if it decides.
func notifies(r *pushrules.Rule) bool {
	return slices.ContainsFunc(r.Actions, func(a pushrules.Action) bool { return a.Name == "notify" })
}

// twinRules are default rules for the same messages, or for the same messages in encrypted rooms.
var twinRules = [][2]string{
	{".m.rule.message", ".m.rule.encrypted"},
	{".m.rule.room_one_to_one", ".m.rule.encrypted_room_one_to_one"},
	{".m.rule.is_room_mention", ".m.rule.roomnotif"},
	{".m.rule.is_user_mention", ".m.rule.contains_display_name"},
}

// checkedRules are the default rules that should notify, and what they are for.
var checkedRules = []struct{ id, code, what string }{
	{".m.rule.message", "rule_default_silent", "messages in groups"},
	{".m.rule.encrypted", "rule_default_silent", "encrypted messages in groups"},
	{".m.rule.room_one_to_one", "rule_default_silent", "messages in direct chats"},
	{".m.rule.encrypted_room_one_to_one", "rule_default_silent", "encrypted messages in direct chats"},
	{".m.rule.invite_for_me", "rule_default_silent", "invitations"},
	{".m.rule.call", "rule_default_silent", "calls"},
	{".m.rule.is_user_mention", "mention_rule_silent", "a mention of the user"},
	{".m.rule.is_room_mention", "mention_rule_silent", "a mention of the whole room"},
}

// defaultRules examines the homeserver's default rules.
func (c *ruleCheck) defaultRules() {
	if r := c.find(".m.rule.master"); r != nil && r.Enabled && !notifies(r) {
		c.report.Add("rules_master_on", 0, facts{"rule": r.Name()})
	}
	if c.find(".m.rule.is_user_mention") == nil {
		c.report.Add("no_mention_rules", 0, nil)
	}
	for _, pair := range twinRules {
		a, b := c.find(pair[0]), c.find(pair[1])
		if a == nil || b == nil {
			continue
		}
		on, other := a.Enabled && notifies(a), b.Enabled && notifies(b)
		if on == other {
			continue
		}
		which := pair[0]
		if other {
			which = pair[1]
		}
		c.twins[pair[0]], c.twins[pair[1]] = true, true
		c.report.Add("twins_differ", 0, facts{"rule": a.Name(), "other": b.Name(), "notifying": which})
	}
	for _, checked := range checkedRules {
		r := c.find(checked.id)
		switch {
		case r == nil, c.twins[checked.id], r.Enabled && notifies(r):
		case !r.Enabled:
			c.report.Add(checked.code, 0, facts{"rule": r.Name(), "state": "is disabled", "what": checked.what})
		default:
			c.report.Add(checked.code, 0, facts{"rule": r.Name(), "state": "has no action notify", "what": checked.what})
		}
	}
}

// userRule examines a rule that the user made.
func (c *ruleCheck) userRule(r *pushrules.Rule) {
	if c.malformed(r) || !r.Enabled {
		return
	}
	f := facts{"rule": r.Name()}
	for i := range r.Conditions {
		if condition := &r.Conditions[i]; !condition.Known() {
			f["kind"] = fmt.Sprintf("%q", condition.Kind)
			c.report.Add("condition_unknown", 0, f)
			return
		}
	}
	room := mutedRoom(r)
	switch {
	case c.shadowed(r):
	case r.Kind == pushrules.Sender && c.report.Homeserver.Software == pushrules.SynapseServer:
		c.report.Add("sender_rule_ignored", 0, f)
	case r.Kind == pushrules.Content:
		c.keyword(r)
	case notifies(r):
	case r.Kind == pushrules.Override && (len(r.Conditions) == 0 || strings.Trim(room, "!*") == "" && room != ""):
		c.report.Add("rule_silences_everything", 0, f)
	case r.Kind == pushrules.Override && room != "":
		c.mute("room_muted", room, f)
	case r.Kind == pushrules.Room:
		c.mentionsOnly(r, f)
	}
}

// malformed adds that a rule is malformed. Some homeservers then send nothing at all, even if the rule is disabled.
func (c *ruleCheck) malformed(r *pushrules.Rule) bool {
	why := r.Problem
	for i := range r.Conditions {
		if why == "" {
			why = r.Conditions[i].Problem
		}
	}
	if why == "" {
		return false
	}
	f := facts{"rule": r.Name(), "why": why, "note": c.report.Homeserver.Software.Note()}
	switch {
	case f["note"] != "":
		c.report.Add("rule_breaks_homeserver", 0, f)
	case r.Enabled:
		c.report.Add("rule_malformed", 0, f)
	}
	return true
}

// shadowed adds that an earlier rule of the same kind has the same conditions.
func (c *ruleCheck) shadowed(r *pushrules.Rule) bool {
	for _, earlier := range c.seen {
		if earlier.Kind == r.Kind && sameConditions(earlier, r) {
			c.report.Add("rule_shadowed", 0, facts{"rule": r.Name(), "other": earlier.Name()})
			return true
		}
	}
	if r.Kind == pushrules.Override || r.Kind == pushrules.Underride {
		c.seen = append(c.seen, r)
	}
	return false
}

func sameConditions(a, b *pushrules.Rule) bool {
	if len(a.Conditions) != len(b.Conditions) {
		return false
	}
	for i := range a.Conditions {
		x, errX := json.Marshal(a.Conditions[i].Members)
		y, errY := json.Marshal(b.Conditions[i].Members)
		if errX != nil || errY != nil || string(x) != string(y) {
			return false
		}
	}
	return true
}

// mutedRoom returns the pattern of the room for which an override rule is; empty if it has other conditions.
func mutedRoom(r *pushrules.Rule) string {
	if len(r.Conditions) != 1 || r.Conditions[0].Kind != "event_match" || r.Conditions[0].Key != "room_id" {
		return ""
	}
	return r.Conditions[0].Pattern
}

// mentionsOnly adds that a room is set to mentions only. In an encrypted room, the homeserver can't see mentions. With MSC4028, it sends a
// push for every encrypted event.
func (c *ruleCheck) mentionsOnly(r *pushrules.Rule, f facts) {
	code := "room_mentions_only"
	msc4028 := c.find(".org.matrix.msc4028.encrypted_event")
	if (msc4028 == nil || !msc4028.Enabled) && c.mayAsk() {
		if _, err := c.Homeserver.State(c.ctx, r.ID, "m.room.encryption", ""); err == nil {
			code = "mentions_invisible"
		}
	}
	c.mute(code, r.ID, f)
}

// mute adds a finding about a room.
func (c *ruleCheck) mute(code, roomID string, f facts) {
	f["room_id"], f["room"] = roomID, "the room "+roomID
	var content struct {
		Name string `json:"name"`
	}
	if !strings.ContainsAny(roomID, "*?") && c.mayAsk() {
		if raw, err := c.Homeserver.State(c.ctx, roomID, "m.room.name", ""); err == nil && json.Unmarshal(raw, &content) == nil && content.Name != "" {
			f["room"] = fmt.Sprintf("the room %q", content.Name)
			if !strings.Contains(f["rule"], roomID) {
				f["room"] += " (" + roomID + ")"
			}
		}
	}
	c.report.Add(code, 0, f)
}

// mayAsk reports whether the homeserver may be asked once more.
func (x *examination) mayAsk() bool { return x.Homeserver.Requests() < maxRequests }

// keyword examines a keyword.
func (c *ruleCheck) keyword(r *pushrules.Rule) {
	pattern := ""
	if len(r.Conditions) > 0 {
		pattern = r.Conditions[0].Pattern
	}
	unspaced := strings.ContainsFunc(pattern, func(letter rune) bool { return unicode.In(letter, withoutSpaces...) })
	switch {
	case pattern == "":
		c.report.Add("keyword_never_matches", 0, facts{"rule": r.Name(), "why": "its pattern is empty"})
	case unspaced && c.report.Homeserver.Software == pushrules.SynapseServer && !(strings.HasPrefix(pattern, "*") && strings.HasSuffix(pattern, "*")):
		c.report.Add("keyword_needs_boundaries", 0, facts{"rule": r.Name()})
	}
}

// withoutSpaces are scripts whose sentences have no spaces between words.
var withoutSpaces = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar}
