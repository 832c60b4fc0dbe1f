package doctor

import (
	"fmt"
	"strings"
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

func TestNotificationsThatLeadToNoAttemptAreNotMissed(t *testing.T) {
	t.Parallel()
	const record = `"record":{"app":"org.example.up","reason":"gone","first_seen":"2026-03-14T11:00:00Z","last_seen":"2026-03-14T11:30:00Z","verdicts":1}`
	for explained, code := range map[string]string{
		`"app":"org.example.up","waiting":true`:                                                    "pending_pushes",
		`"app":"org.example.up","waiting":false,` + record:                                         "pushkey_dead",
		`"app":"","waiting":false,"unusable":{"reason":"unknown_app","detail":"no app serves it"}`: "app_unknown",
	} {
		s := newScene(t)
		s.explained["org.example.up"] = explained
		s.notifications = []string{notified(today.Add(-3*time.Hour), false)}
		s.examine().wantCodes(t, code)
	}
}

func TestInAGroupAnotherGatewayMayHaveGotNotifications(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.notifications = []string{notified(today.Add(-30*time.Second), false)}
	s.overview = strings.Replace(healthy, `"rejected":"file"`, `"rejected":"redis"`, 1)
	s.examine().wantText(t, "notifications_missed", "2026-03-14 11:59:30. Another gateway of the group may have got them.")
}

func TestAHomeserverWithoutAListOfNotificationsIsNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.server = "continuwuity"
	s.examine().wantCodes(t, "no_notification_list")
}
