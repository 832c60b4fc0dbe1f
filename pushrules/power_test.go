package pushrules_test

import (
	"maps"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

func TestPowerLevelsComeFromTheRoom(t *testing.T) {
	t.Parallel()
	const v12 = `{"type":"m.room.create","sender":"@bob:hs.test","content":{"room_version":"12","additional_creators":["@carol:hs.test",5]}}`
	const v11 = `{"type":"m.room.create","sender":"@bob:hs.test","content":{"room_version":"11","creator":"@x:hs.test"}}`
	const v1 = `{"type":"m.room.create","sender":"@x:hs.test","content":{"creator":"@bob:hs.test"}}`
	const levels = `{"type":"m.room.power_levels","content":{"users":{"@dave:hs.test":50,"@erin:hs.test":" 7"},"users_default":1,
		"notifications":{"room":20,"odd":[]}}}`
	for _, c := range []struct {
		create, levels, user string
		want                 int64
	}{
		{v12, levels, "@bob:hs.test", 1 << 53},
		{v12, levels, "@carol:hs.test", 1 << 53},
		{v12, "", "@bob:hs.test", 1 << 53},
		{v12, "", "@dave:hs.test", 0},
		{v11, "", "@bob:hs.test", 100},
		{v11, levels, "@bob:hs.test", 1},
		{v1, "", "@bob:hs.test", 100},
		{v1, "", "@x:hs.test", 0},
		{"", levels, "@dave:hs.test", 50},
		{"", levels, "@erin:hs.test", 7},
		{"", levels, "@bob:hs.test", 1},
		{"", "", "@bob:hs.test", 0},
		{"", `{"type":"m.room.power_levels","content":5}`, "@bob:hs.test", 0},
	} {
		var create, power *pushrules.Event
		notifications := map[string]int64{}
		if c.create != "" {
			create = event(t, []byte(c.create))
		}
		if c.levels != "" {
			power = event(t, []byte(c.levels))
		}
		if c.levels == levels {
			notifications["room"] = 20
		}
		got, set := pushrules.Power(create, power, c.user)
		if got != c.want || !maps.Equal(set, notifications) {
			t.Errorf("%s in %s %s: %d, %v", c.user, c.create, c.levels, got, set)
		}
	}
}
