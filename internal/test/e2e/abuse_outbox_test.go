package e2e

import (
	"fmt"
	"net/http"
	"testing"
)

// An attacker's pushes that cannot be delivered fill the room for their device, and then the half of the app's room that is for strangers.
// They take nobody else's room.
func TestAnAttackerFillsHisOwnRoomInTheOutboxAlone(t *testing.T) {
	t.Parallel()
	const perDevice, perApp, strangers = 5, 30, 15
	for _, wait := range []string{"wait 0", "wait 300ms"} {
		t.Run(wait, func(t *testing.T) {
			t.Parallel()
			u := newUnreliable(t)
			s := &safeScene{unreliable: u, t: t, gateway: newProcess(t), config: gatewayConfig(fmt.Sprintf(
				"rejected file {dir}/rejected.db\noutbox file {dir}/outbox.db {\nmax_per_device %d\nmax_per_app %d\n}\n", perDevice, perApp)+
				u.moreUp("org.example.attacked", wait)+u.moreUp("org.example.other", wait), "matrix_push")}
			s.start()
			later := hasToWait
			// fill sends events to a device until the outbox has no room for them, and returns the accepted ones.
			fill := func(d device) (events []string) {
				s.set(later, d)
				for n := range perApp + 1 {
					event := fmt.Sprint("$", n)
					r := s.notify(event, d)
					if r.Status != http.StatusOK {
						wantUnavailable(t, r)
						return events
					}
					events = append(events, event)
				}
				t.Fatal("the outbox never gets full")
				return nil
			}
			type filled struct {
				device device
				events []string
			}
			var room []filled
			for taken := 0; taken < strangers; {
				d := s.phoneOf("org.example.attacked", fmt.Sprint("made-up-", len(room)))
				got := fill(d)
				if want := min(perDevice, strangers-taken); len(got) != want {
					t.Fatalf("device %d got room for %d pushes, want %d", len(room), len(got), want)
				}
				room = append(room, filled{d, got})
				taken += len(got)
			}
			// One more stranger gets no room, but a push that can be delivered needs none.
			late, fine := s.phoneOf("org.example.attacked", "late"), s.phoneOf("org.example.attacked", "fine")
			if got := fill(late); len(got) != 0 {
				t.Errorf("there was room for %q", got)
			}
			wantBody(t, s.notify("$fine", fine), nothingRejected)
			s.awaitTaken(fine, "$fine")
			// The other app still has all its room.
			other := s.phoneOf("org.example.other", "other")
			room = append(room, filled{other, fill(other)})
			if got := room[len(room)-1].events; len(got) != perDevice {
				t.Errorf("the other app got room for %d pushes, want %d", len(got), perDevice)
			}
			all, _ := s.gateway.scrape()
			mine, others := all.total("outbox_entries", `"org.example.attacked"`), all.total("outbox_entries", `"org.example.other"`)
			if mine != strangers || others != perDevice {
				t.Errorf("the outbox has %v and %v entries", mine, others)
			}
			// No accepted push is lost, not even the attacker's.
			for _, f := range room {
				s.set(behaviour{}, f.device)
			}
			s.reload()
			for _, f := range room {
				s.awaitTaken(f.device, f.events...)
			}
			s.check()
		})
	}
}
