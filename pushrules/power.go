package pushrules

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// creatorPower is the power level of a creator since room version 12: above every level that a room can set. Synapse uses the same number.
const creatorPower = maxInteger + 1

// Power returns a user's power level, and the notification levels of the room. The events are m.room.create and m.room.power_levels, which
// may be nil: https://spec.matrix.org/latest/client-server-api/#mroompower_levels
func Power(create, levels *Event, userID string) (power int64, notifications map[string]int64) {
	notifications = make(map[string]int64)
	if levels != nil {
		set, _ := levels.content("notifications")
		members, _ := set.(map[string]any)
		for name, value := range members {
			if n, ok := level(value); ok {
				notifications[name] = n
			}
		}
	}
	creators, above := creatorsOf(create)
	isCreator := slices.Contains(creators, userID)
	switch {
	case isCreator && above:
		return creatorPower, notifications
	case levels == nil && isCreator:
		return 100, notifications
	case levels == nil:
		return 0, notifications
	}
	users, _ := levels.content("users")
	members, _ := users.(map[string]any)
	if n, ok := level(members[userID]); ok {
		return n, notifications
	}
	byDefault, _ := levels.content("users_default")
	power, _ = level(byDefault)
	return power, notifications
}

// creatorsOf returns the creators of a room, and reports whether they are above all power levels.
func creatorsOf(create *Event) (creators []string, above bool) {
	if create == nil {
		return nil, false
	}
	version, _ := create.content("room_version")
	text, _ := version.(string)
	n, err := strconv.Atoi(text)
	above = err == nil && n >= 12
	if old, ok := create.content("creator"); ok && (err != nil || n < 11) {
		if creator, ok := old.(string); ok {
			return []string{creator}, above
		}
	}
	creators = []string{create.Sender()}
	more, _ := create.content("additional_creators")
	list, _ := more.([]any)
	for _, value := range list {
		if creator, ok := value.(string); ok && above {
			creators = append(creators, creator)
		}
	}
	return creators, above
}

// level returns a power level. In old room versions, levels may be strings.
func level(value any) (int64, bool) {
	if text, ok := value.(string); ok {
		value = json.Number(strings.TrimSpace(text))
	}
	n, ok := simple(value, false)
	if !ok {
		return 0, false
	}
	power, ok := n.(int64)
	return power, ok
}
