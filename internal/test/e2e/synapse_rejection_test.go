package e2e

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// Like sytest's 61push/08_rejected_pushers.pl, but with everything between the homeserver and the push service.
func TestI01_ADeadTokenMakesSynapsesPusherVanish(t *testing.T) {
	t.Parallel()
	s := newSynapseScene(t, func(p pushServices) string {
		return durable + p.apps(".sync", "wait 20s") + p.apps(".async", "wait 0")
	})
	room := s.alice.room("", s.bob)
	waiting, async := s.handsets(".sync", "event_id_only"), s.handsets(".async", "event_id_only")
	alive := s.ofAPNs(iPhoneOf("org.example.ios.sync", rand.Text()))
	dead := append(append([]handset(nil), waiting...), async...)
	s.register(append(dead, alive)...)

	s.alice.says(room, "The first message")
	for _, h := range append(dead, alive) {
		h.arrivals(1)
	}
	for _, h := range dead {
		h.die()
	}
	s.alice.says(room, "The second message")
	for _, h := range waiting {
		s.bob.wantNoPusher(h.device)
	}
	// If requests don't wait for a verdict, the next one gets it.
	for _, h := range async {
		s.waitForRejection(h)
		s.bob.wantPusher(h.device)
	}
	s.alice.says(room, "The third message")
	for _, h := range async {
		s.bob.wantNoPusher(h.device)
	}
	s.alice.says(room, "The fourth message")
	alive.arrivals(4)
	s.bob.wantPusher(alive.device)
	for _, h := range dead {
		h.arrivals(1)
		h.wantAsked(2)
	}
	s.wantStatuses(map[string]int{"200": 4 + 2*len(waiting) + 3*len(async)})
}

func TestAPusherThatSynapseRegistersAgainWorksAgain(t *testing.T) {
	t.Parallel()
	s := newSynapseScene(t, func(p pushServices) string {
		return durable + p.apps(".sync", "wait 20s") + p.apps(".async", "wait 0")
	})
	room := s.alice.room("", s.bob)
	devices := append(s.handsets(".sync", "event_id_only"), s.handsets(".async", "event_id_only")...)
	s.register(devices...)
	for _, h := range devices {
		h.die()
	}
	s.alice.says(room, "While they are dead")
	for _, h := range devices {
		s.waitForRejection(h)
	}
	s.alice.says(room, "While they are known to be dead")
	for _, h := range devices {
		s.bob.wantNoPusher(h.device)
		h.live()
	}
	s.registerUntilTheyWork(room, devices...)

	event := s.alice.says(room, "When they live again")
	for _, h := range devices {
		if !s.reaches(event, h) {
			t.Errorf("%s: the pusher is gone again", h.AppID)
		}
		s.bob.wantPusher(h.device)
		h.wantAsked(1 + len(h.taken())) // no more than once while it was dead
	}
}

// waitForRejection waits until the gateway knows that a device's token is dead.
func (s synapseScene) waitForRejection(h handset) {
	s.t.Helper()
	s.waitForLog(func(log string) bool { return strings.Contains(log, `"msg":"push rejected","app":"`+h.AppID+`"`) })
}

// registerUntilTheyWork registers devices that live again, repeatedly until messages arrive. A pushkey_ts has whole seconds, so a
// registration in the second in which the token died counts as dead, too.
func (s synapseScene) registerUntilTheyWork(room string, devices ...handset) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); len(devices) > 0; {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s got nothing after it was registered again", devices[0].AppID)
		}
		s.register(devices...)
		event := s.alice.says(room, "Are they there?")
		devices = slices.DeleteFunc(slices.Clone(devices), func(h handset) bool { return s.reaches(event, h) })
	}
}

// reaches reports whether an event reaches a device. Otherwise its pusher vanishes.
func (s synapseScene) reaches(event string, h handset) bool {
	s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		there := s.bob.hasPusher(h.device)
		if slices.ContainsFunc(h.taken(), func(a arrival) bool { return a.event(s.t) == event }) {
			return true
		}
		if !there {
			return false
		}
	}
	s.t.Fatalf("%s: neither does a message arrive nor does the pusher vanish", h.AppID)
	return false
}
