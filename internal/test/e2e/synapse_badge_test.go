package e2e

import (
	"testing"
)

func TestI03_TheBadgeFallsToZeroWithSynapsesReadReceipts(t *testing.T) {
	t.Parallel()
	s := newSynapseScene(t, func(p pushServices) string {
		return durable + p.apps(".sync", "badges on\nwait 20s") + p.apps(".async", "badges on\nwait 0")
	})
	tea, croquet := s.alice.room("Mad Tea Party", s.bob), s.alice.room("Croquet Ground", s.bob)
	devices := append(s.handsets(".sync", "event_id_only"), s.handsets(".async", "")...)
	s.register(devices...)
	first := s.alice.says(tea, "Have some wine")
	for _, h := range devices {
		h.arrivals(1)
	}
	s.alice.says(croquet, "Can you play croquet?")
	for _, h := range devices {
		h.arrivals(2)
	}
	// Synapse compares a badge with that of the last push whose answer it has got. Only the next push of a pusher proves that it has,
	// and a second message of the same room doesn't change the badge.
	second := s.alice.says(croquet, "Get to your places!")
	for _, h := range devices {
		h.arrivals(3)
	}
	for i, read := range []struct{ room, event, badge string }{{tea, first, "1"}, {croquet, second, "0"}} {
		s.bob.read(read.room, read.event)
		for j, want := range []string{
			`{"aps":{"badge":` + read.badge + `}}`,
			`{"cs":"client-secret","prio":"high","unread":"` + read.badge + `"}`,
			`{"unread":` + read.badge + `}`,
			`{"notification":{"prio":"high","counts":{"unread":` + read.badge + `}}}`,
		} {
			for _, h := range []handset{devices[j], devices[4+j]} {
				wantJSON(t, h.arrivals(4 + i)[3+i].payload, want)
			}
		}
	}
}
