package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/prosodytest"
)

// xmppTime returns how long the chaos takes. E2E_XMPP changes it, for example to 1m.
func xmppTime() time.Duration { return envTime("E2E_XMPP", 4*time.Second) }

// TestChaosAtXMPPServersCostsNoRegistration sends 50 pushes a second to each of two XMPP servers' components: a fake one with ejabberd's
// rule, and a Prosody. Meanwhile streams break, Prosody is killed, configurations are reloaded, push servers fail, and a proxy in front of
// them answers 404. Only one device is dead, and only its registration may end.
func TestChaosAtXMPPServersCostsNoRegistration(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(envSeed(t), 0))
	u, e := newUnreliable(t), newEjabberd(t)
	prosody := prosodytest.Start(t)
	p := newXMPPGateway(t)
	p.env = append(p.env, "EJABBERD_SECRET="+e.Secret)
	options := "app org.example.up {\ndefault\n}\ncoalesce 100ms\nrate 1000/s\n"
	// Prosody's component has another name than the fake's, which listens elsewhere.
	global := "fuse off\n" + durable + u.moreUp("org.example.up", "wait 1s")
	e.Domain = "push.ej.test"
	config := xmppConfig(global, e.component(options)+componentBlock(prosodytest.Component, prosody.ComponentAddress, options))
	p.start(config)
	e.connected()
	s := &xmppScene{t: t, server: prosody, prosody: prosody, gateway: p, config: config}
	s.connected()

	const users = 20
	phones := make([]device, users)
	for i := range phones {
		phones[i] = u.phone(fmt.Sprint("phone", i))
		s.offline(fmt.Sprint("user", i), u.phone(fmt.Sprint("user", i)).Pushkey, "")
	}
	gone := u.phone("gone")
	e.want("result", "ej.test", gone.Pushkey)
	u.set(behaviour{status: http.StatusGone}, gone)

	behaviours := []behaviour{
		{}, {status: http.StatusNotFound}, {status: http.StatusInternalServerError}, {dropped: true}, {status: http.StatusForbidden},
	}
	s.bob = s.login("bob")
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	const mostBreaks = 3 // with more, the component would wait for up to a minute until it connects
	sent, breaks, kills := 0, 0, 0
	for end := time.Now().Add(xmppTime()); time.Now().Before(end); sent++ {
		<-pace.C
		e.publish("ej.test", phones[sent%users].Pushkey)
		s.bob.Message(fmt.Sprint("user", sent%users, "@", prosodytest.Domain), "m", "chaos")
		if sent%25 != 24 {
			continue
		}
		e.publish("ej.test", gone.Pushkey)
		switch n := random.IntN(5); {
		case n == 0 && breaks < mostBreaks:
			breaks++
			e.breakStream()
		case n == 1 && kills < mostBreaks:
			kills++
			prosody.Kill()
			prosody.Restart()
			s.bob = prosody.Login("bob")
		case n == 2:
			if err := p.load(strings.Replace(config, "matrix_push {\n", fmt.Sprintf("matrix_push {\nmax_devices %d\n", 200+sent), 1)); err != nil {
				t.Fatal(err)
			}
		default:
			u.set(behaviours[random.IntN(len(behaviours))])
		}
	}
	u.set(behaviour{})
	until(t, "all publishes are answered", func() bool { return e.open() == 0 })
	s.connected()
	s.wantKept()
	s.wantTold(e, gone, sent)
}

// wantTold wants most publishes to have been taken, and no registration removed but that of one device.
func (s *xmppScene) wantTold(e *ejabberd, gone device, sent int) {
	s.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	taken := 0
	for _, verdict := range e.verdict {
		if verdict == "result" {
			taken++
		}
	}
	s.t.Logf("%d pushes to each server; the fake one got %d results", sent, taken)
	if taken < sent/2 {
		s.t.Errorf("only %d of %d pushes were taken", taken, sent)
	}
	delete(e.removed, gone.Pushkey)
	if n := len(e.removed); n > 0 {
		s.t.Errorf("%d registrations of devices that live were removed", n)
	}
}
