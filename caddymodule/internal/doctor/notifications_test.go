package doctor

import (
	"fmt"
	"testing"
	"time"
)

// notified is a notification as Synapse lists it.
func notified(at time.Time, read bool) string {
	return fmt.Sprintf(`{"room_id":"!a:hs.test","profile_tag":null,"actions":["notify"],"ts":%d,"event":{"type":"m.room.message"},"read":%v}`,
		at.UnixMilli(), read)
}

func TestNotificationsAreComparedWithTheLatestAttempt(t *testing.T) {
	t.Parallel()
	old, late, now := today.Add(-time.Hour), today.Add(-30*time.Second), today.Add(-time.Second)
	for name, c := range map[string]struct {
		list, codes []string
		text        string
	}{
		"all have arrived":       {[]string{notified(old, false)}, nil, ""},
		"one is on its way":      {[]string{notified(now, false)}, nil, ""},
		"one never arrived":      {[]string{notified(now, false), notified(late, false), notified(old, false)}, []string{"notifications_missed"}, "1 notification that the user has not read"},
		"one was read elsewhere": {[]string{notified(late, true)}, []string{"read_elsewhere"}, "1 notification newer"},
		"both": {
			[]string{notified(late, true), notified(late, false), notified(late, false)}, []string{"notifications_missed", "read_elsewhere"}, "1 notification newer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.notifications = c.list
			r := s.examine()
			r.wantCodes(t, c.codes...)
			if c.text != "" {
				r.wantText(t, c.codes[len(c.codes)-1], c.text)
			}
		})
	}
}

func TestAProcessThatRemembersNoAttemptComparesSinceItsStart(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.explained["org.example.up"] = `"app":"org.example.up","waiting":false`
	s.notifications = []string{notified(today.Add(-5*time.Hour), false)} // before the start, which was 4 hours ago
	s.examine().wantCodes(t)
	s.notifications = []string{notified(today.Add(-3*time.Hour), false)}
	s.examine().wantCodes(t, "notifications_missed")
}

func TestAHomeserverWithoutAListOfNotificationsIsNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.server = "continuwuity"
	s.examine().wantCodes(t, "no_notification_list")
}
