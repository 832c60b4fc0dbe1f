package e2e

import (
	"net/http"
	"testing"
)

func TestV03_AMessageAtSynapseBecomesANotificationInFirefox(t *testing.T) {
	t.Parallel()
	hs := theSynapse(t)
	w := newWebClient(t, "", nil)
	alice, bob := hs.register(t, "Alice Liddell"), hs.register(t, "Bob the Builder")
	hs.tells(bob)
	room := alice.room("Mad Tea Party", bob)
	b := w.firefox()
	p := b.Open(w.url)
	turnOn(p)
	signIn(p, hs.url, bob.id, bob.password)
	waitState(p, accountState, "registered")
	p.Close()

	said := alice.says(room, "Have some wine")
	w.service.WaitAcks(w.subscription().Endpoint, 1)
	p = b.Open(w.url)
	waitShown(p, seen{"Alice Liddell in Mad Tea Party", "Have some wine"})
	bob.read(room, said)
	alice.says(room, "There isn’t any")
	waitShown(p, seen{"Alice Liddell in Mad Tea Party", "There isn’t any"})
	p.Click("#sign-out")
	waitState(p, accountState, "signed-out")
	var left struct{ Pushers []device }
	if bob.call(http.MethodGet, "/pushers", nil, &left); len(left.Pushers) > 0 {
		t.Errorf("Synapse still has %d pushers", len(left.Pushers))
	}
}
