package doctor

import (
	"encoding/json"
	"fmt"

	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// Ring is what the push rules make of a usual event.
type Ring struct {
	// Event is a name of the closed list in this file.
	Event string `json:"event"`
	// Push means that the homeserver sends a push. Sound is the sound that it asks for; empty for none.
	Push      bool   `json:"push"`
	Sound     string `json:"sound,omitempty"`
	Highlight bool   `json:"highlight,omitempty"`
	// Priority is high or low; empty without a push.
	Priority string `json:"priority,omitempty"`
	// Rule is the kind and the id of the rule that decides; empty if none matches.
	Rule string `json:"rule,omitempty"`
}

// usual is a usual event. The user is @me, whose display name is Me.
type usual struct {
	name, eventType string
	stateKey        bool
	members         uint64
	content         map[string]any
}

// usualEvents are the standard events, for a user.
func usualEvents(userID, displayName string) []usual {
	const direct, group = 2, 5
	text := map[string]any{"msgtype": "m.text", "body": "…"}
	secret := map[string]any{"algorithm": "m.megolm.v1.aes-sha2"}
	mention := map[string]any{"msgtype": "m.text", "body": displayName, "m.mentions": map[string]any{"user_ids": []any{userID}}}
	return []usual{
		{"direct_message", "m.room.message", false, direct, text},
		{"direct_message_encrypted", "m.room.encrypted", false, direct, secret},
		{"group_message", "m.room.message", false, group, text},
		{"group_message_encrypted", "m.room.encrypted", false, group, secret},
		{"mention", "m.room.message", false, group, mention},
		{"invitation", "m.room.member", true, direct, map[string]any{"membership": "invite"}},
		{"call", "m.call.invite", false, direct, map[string]any{}},
	}
}

// rings evaluates the rules for the usual events.
func (x *examination) rings(rules *pushrules.Ruleset, displayName string) error {
	software, userID := x.report.Homeserver.Software, x.report.UserID
	var power int64
	viewer := &pushrules.Viewer{UserID: userID, DisplayName: software.DisplayName(userID, displayName, displayName), SenderPower: &power}
	for _, u := range usualEvents(userID, displayName) {
		members := map[string]any{"type": u.eventType, "sender": "@someone:example.org", "room_id": "!room:example.org", "content": u.content}
		if u.stateKey {
			members["state_key"] = userID
		}
		raw, err := json.Marshal(members)
		if err != nil {
			return err
		}
		event, err := pushrules.ParseEvent(raw)
		if err != nil {
			return err
		}
		viewer.Members = u.members
		result, err := pushrules.Evaluate(x.ctx, rules, event, viewer, pushrules.Options{Reading: software.Reading()})
		if err != nil {
			return err
		}
		x.report.Rings = append(x.report.Rings, ring(u.name, software, result))
	}
	return nil
}

func ring(name string, software pushrules.Homeserver, result *pushrules.Result) Ring {
	r := Ring{Event: name, Push: result.Notify}
	if result.Rule != nil {
		r.Rule = result.Rule.Name()
	}
	if result.Notify {
		r.Priority = software.Prio(result)
		r.Highlight = result.Tweaks["highlight"] == true
		if sound, ok := result.Tweaks["sound"]; ok && sound != nil {
			r.Sound = fmt.Sprint(sound)
		}
	}
	return r
}
