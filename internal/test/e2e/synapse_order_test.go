package e2e

import (
	"fmt"
	"testing"
)

// Each push service fails with the first message, so the others must wait for it.
func TestEachDeviceGetsSynapsesEventsInTheirOrder(t *testing.T) {
	t.Parallel()
	s := newSynapseScene(t, func(p pushServices) string {
		return durable + p.apps(".sync", "wait 20s") + p.apps(".async", "wait 0")
	})
	room := s.alice.room("", s.bob)
	devices := append(s.handsets(".sync", "event_id_only"), s.handsets(".async", "event_id_only")...)
	s.register(devices...)
	for _, h := range devices {
		h.fail()
	}
	var events []string
	for i := range 25 {
		events = append(events, s.alice.says(room, fmt.Sprint("Message number ", i)))
	}
	for _, h := range devices {
		h.wantEvents(events...)
		h.wantAsked(26)
	}
	s.wantStatuses(map[string]int{"200": 25 * len(devices)})
}
