package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestWhatADeviceSees(t *testing.T) {
	t.Parallel()
	const (
		message = `{"notification":{"event_id":"$e","room_id":"!r","type":"m.room.message","sender":"@s","content":{"body":"secret"},
			"counts":{"unread":2},"ciphertext":"c","com.example":1,"devices":[{"app_id":"app","pushkey":"key"%s}],"Devices":[{"app_id":"app","pushkey":"key"%[1]s}]}}`
		update = `{"notification":{"counts":{"unread":2},"devices":[{"app_id":"app","pushkey":"key"%s}]}}`
	)
	off := `,"data":{"disable_badge_count":true}`
	unstable := `,"data":{"org.matrix.msc4076.disable_badge_count":true}`
	full := "[com.example content counts ciphertext event_id room_id sender type]"
	const on, withEvents, never = providers.BadgesOn, providers.BadgesWithEvents, providers.BadgesOff
	noCounts := strings.Replace(full, "counts ", "", 1)
	tests := []struct {
		name    string
		body    string
		content providers.Content
		badges  providers.Badges
		members string // of the raw notification
		secret  bool
		unread  bool
		asked   int
	}{
		{"full: everything but the devices", fmt.Sprintf(message, ""), providers.ContentFull, on, full, true, true, 1},
		{"event_id_only: ids and counts", fmt.Sprintf(message, ""), providers.ContentIDs, on, "[]", false, true, 1},
		{"by default: ids and counts", fmt.Sprintf(message, ""), providers.ContentDefault, on, "[]", false, true, 1},
		{"badges off: no counts", fmt.Sprintf(message, ""), providers.ContentFull, never, noCounts, true, false, 1},
		{"badges off and event_id_only: ids", fmt.Sprintf(message, ""), providers.ContentIDs, never, "[]", false, false, 1},
		{"a client that counts for itself: no counts (MSC4076)", fmt.Sprintf(message, off), providers.ContentFull, on, noCounts, true, false, 1},
		{"the same by its unstable name", fmt.Sprintf(message, unstable), providers.ContentFull, on, noCounts, true, false, 1},
		{"a client that does not say so: counts", fmt.Sprintf(message, `,"data":{"disable_badge_count":false}`), providers.ContentFull, on, full, true, true, 1},
		{"a client that says so elsewhere: counts", fmt.Sprintf(message, `,"data":{"x":{"disable_badge_count":true}}`), providers.ContentFull, on, full, true, true, 1},
		{"a badge update", fmt.Sprintf(update, ""), providers.ContentFull, on, "[counts]", false, true, 1},
		{"badges off: no badge update", fmt.Sprintf(update, ""), providers.ContentFull, never, "", false, false, 0},
		{"badges with_events: an event has its counts", fmt.Sprintf(message, ""), providers.ContentFull, withEvents, full, true, true, 1},
		{"badges with_events and event_id_only: ids and counts", fmt.Sprintf(message, ""), providers.ContentIDs, withEvents, "[]", false, true, 1},
		{"badges with_events, a client that counts for itself: no counts", fmt.Sprintf(message, off), providers.ContentFull, withEvents, noCounts, true, false, 1},
		{"badges with_events: no badge update", fmt.Sprintf(update, ""), providers.ContentFull, withEvents, "", false, false, 0},
		{"badges that nobody chose: a badge update", fmt.Sprintf(update, ""), providers.ContentFull, providers.BadgesDefault, "[counts]", false, true, 1},
		{"a client that counts for itself: no badge update", fmt.Sprintf(update, off), providers.ContentFull, on, "", false, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := always(providers.Delivered())
				app := appFor("app", p)
				app.Content, app.Badges = tt.content, tt.badges
				wantLine(t, newRig(t, app).notify(tt.body), `[]`)
				wantPushes(t, p, tt.asked)
				for _, push := range p.asked() {
					n := push.Notification
					if got := fmt.Sprint(sortedKeys(n.Members())); got != sortWords(tt.members) {
						t.Errorf("it sees %s, want %s", got, sortWords(tt.members))
					}
					if got := len(n.Content) > 0 && n.Sender != "" && n.Type != ""; got != tt.secret {
						t.Errorf("it sees content: %v", got)
					}
					if got := n.Counts.Unread != nil; got != tt.unread {
						t.Errorf("it sees counts: %v", got)
					}
					if !n.Badge && (n.EventID != "$e" || n.RoomID != "!r" || n.Encrypted.Ciphertext != "c") {
						t.Errorf("it does not see the ids: %+v", n)
					}
				}
			})
		})
	}
}

// defaulting is a provider with its own default for the content.
type defaulting struct{ *scripted }

func (defaulting) DefaultContent(d *providers.Device) providers.Content {
	if d.Data != nil {
		return providers.ContentFull
	}
	return providers.ContentIDs
}

func TestAProviderHasADefaultForEachDevice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := defaulting{always(providers.Delivered())}
		r := newRig(t, appFor("app", p))
		r.notify(`{"notification":{"event_id":"$e","content":{"body":"x"},"devices":[{"app_id":"app","pushkey":"plain"},{"app_id":"app","pushkey":"encrypted","data":{"auth":"x"}}]}}`)
		for _, push := range p.asked() {
			if full := push.Notification.Content != nil; full != (push.Device.Pushkey == "encrypted") {
				t.Errorf("%s sees content: %v", push.Device.Pushkey, full)
			}
		}
	})
}

func sortedKeys(m map[string]json.RawMessage) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func sortWords(list string) string {
	words := strings.Fields(strings.Trim(list, "[]"))
	slices.Sort(words)
	return fmt.Sprint(words)
}

func TestABadgeUpdateThatAnEarlierConfigurationKeptIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for badges, asked := range map[providers.Badges]int{providers.BadgesOn: 1, providers.BadgesWithEvents: 0, providers.BadgesOff: 0} {
			p := always(providers.Delivered())
			app := appFor("app", p)
			app.Badges = badges
			r := newRig(t, app)
			r.retry(app, outbox.Leased{Entry: outbox.Entry{
				ID: "id", App: "app", Push: []byte(strings.Replace(keptEarlier, `"Badge":false`, `"Badge":true`, 1)),
				Accepted: time.Now(), Expires: time.Now().Add(time.Hour),
			}})
			wantPushes(t, p, asked)
			if _, troubles := r.Shared.journal.of(app); asked == 0 && (len(troubles) != 1 || troubles[0].Reason != "no_badges") {
				t.Errorf("the troubles are %+v", troubles)
			}
		}
	})
}

// counting is a provider with its own default for the badges.
type counting struct {
	*scripted
	badges providers.Badges
}

func (c counting) DefaultBadges() providers.Badges { return c.badges }

func TestAProviderHasADefaultForBadges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		p    providers.Provider
		want providers.Badges
	}{
		{"one that does not say", always(providers.Delivered()), providers.BadgesOn},
		{"one that wants them with events", counting{always(providers.Delivered()), providers.BadgesWithEvents}, providers.BadgesWithEvents},
		{"one that wants none", counting{always(providers.Delivered()), providers.BadgesOff}, providers.BadgesOff},
		{"one that says nothing", counting{always(providers.Delivered()), providers.BadgesDefault}, providers.BadgesOn},
		{"one that panics", volcano{}, providers.BadgesOn},
	} {
		if got := appFor("app", tt.p).DefaultBadges(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
