package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// perRoom is a provider whose clients want only the last push of a room, if their pushkey asks for that.
type perRoom struct{ *outage }

func (perRoom) Replace(n *providers.Notification, d *providers.Device) string {
	if !strings.HasPrefix(d.Pushkey, "last") {
		return ""
	}
	return n.RoomID
}

// receivers.md finding 7: with the push service down, three pushes of one room were pending, and all three arrived.
func TestOfThePendingPushesThatTellTheSameTheNewestIsDelivered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := perRoom{newOutage(providers.Limited("busy", time.Minute, nil))}
		r, _ := keeping(t, appFor("app", p))
		rooms := func(id, room string, devices ...string) string {
			return strings.Replace(event(id, devices...), "!r:example.org", room, 1)
		}
		both := []string{device("last"), device("all")}
		for i := range 3 {
			wantLine(t, r.notify(rooms(fmt.Sprint("$a", i), "!a:example.org", both...)), `[]`)
			wantLine(t, r.notify(rooms(fmt.Sprint("$b", i), "badge", both...)), `[]`) // a room may have any name
			wantLine(t, r.notify(badge(both...)), `[]`)
		}
		p.fixed.Store(true)
		n := len(p.asked())
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := p.since(n, "last"); !slices.Equal(got, []string{"$a2", "$b2", "badge 3"}) {
			t.Errorf("one that wants the last of each room got %q", got)
		}
		if got := p.since(n, "all"); !slices.Equal(got, []string{"$a0", "$b0", "$a1", "$b1", "$a2", "$b2", "badge 3"}) {
			t.Errorf("one that wants all got %q", got)
		}
	})
}

func TestWhatAPushReplacesIsNeitherASecretNorABadgeUpdate(t *testing.T) {
	t.Parallel()
	app := appFor("app", perRoom{newOutage(providers.Delivered())})
	seen := map[string]bool{}
	for _, room := range []string{"badge", "!room:example.org", strings.Repeat("x", 100_000)} {
		what := app.Replace(&providers.Notification{RoomID: room}, &providers.Device{Pushkey: "last"})
		if what == outbox.ReplaceBadge || len(what) > 64 || strings.Contains(what, room) || seen[what] {
			t.Errorf("the outbox gets %q", what)
		}
		seen[what] = true
	}
	if what := app.Replace(&providers.Notification{RoomID: "!a"}, &providers.Device{Pushkey: "all"}); what != "" {
		t.Errorf("one that stands for itself replaces %q", what)
	}
	if what := app.Replace(&providers.Notification{Badge: true, RoomID: "!a"}, &providers.Device{Pushkey: "last"}); what != outbox.ReplaceBadge {
		t.Errorf("a badge update replaces %q", what)
	}
}
