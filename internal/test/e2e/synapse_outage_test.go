package e2e

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/apnstest"
)

func TestWhatSynapseCouldNotSendToAGatewayThatWasDownArrivesOnceItIsUp(t *testing.T) {
	t.Parallel()
	// A gateway that restarts makes a new token, which Apple allows only every 20 minutes.
	lenient := func(o *apnstest.Options) { o.AllowTokenUpdates = true }
	s := newSynapseScene(t, func(p pushServices) string { return durable + p.apps("", "") }, lenient)
	room := s.alice.room("", s.bob)
	devices := s.handsets("", "event_id_only")
	s.register(devices...)
	before := s.alice.says(room, "Before it goes down")
	for _, h := range devices {
		h.wantEvents(before)
	}
	s.gateway.terminate()
	missed := s.alice.says(room, "While it is down")
	for _, h := range devices {
		s.wantFailure(h, "ConnectionRefusedError")
	}
	s.gateway.start(s.config)
	after := s.alice.says(room, "When it is up again")
	for _, h := range devices {
		h.wantEvents(before, missed, after)
		s.bob.wantPusher(h.device)
	}
}

// In all other tests, Synapse trusts the gateway.
func TestSynapsePushesToNoGatewayWhoseCertificateItDoesNotTrust(t *testing.T) {
	t.Parallel()
	s := newSynapseScene(t, func(p pushServices) string { return stateless + p.apps("", "") })
	impostor := newProcess(t) // with a certificate of another authority
	impostor.start(s.config)
	room := s.alice.room("", s.bob)
	h := s.handsets("", "event_id_only")[0]
	s.bob.push(h.device, impostor.reachedBySynapse())
	s.alice.says(room, "For nobody but the gateway")
	s.wantFailure(h, "certificate verify failed")
	s.bob.wantPusher(h.device)
	h.wantAsked(0)

	s.register(h)
	h.wantEvents(s.alice.says(room, "For the gateway"))
}
