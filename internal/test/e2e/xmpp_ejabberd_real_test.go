package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/ejabberdtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

// newEjabberdScene starts the scene with a real ejabberd, and waits until the component is connected.
func newEjabberdScene(t *testing.T, o xmppOptions) (*xmppScene, *ejabberdtest.Server) {
	t.Helper()
	server := ejabberdtest.Start(t)
	return newXMPPSceneAt(t, server, server.ComponentAddress, o), server
}

func TestX09_ARealEjabberdKeepsRegistrationsInAnOutageAndRemovesThatOfADeadDeviceAtOnce(t *testing.T) {
	t.Parallel()
	s, server := newEjabberdScene(t, xmppOptions{
		apps:      func(g *google) string { return g.app("im.example.hasty", "", "wait 1s") },
		component: "app im.example.hasty {\ndefault\n}\napp " + xmppApp + " {\nmodule android\n}\ncoalesce 0s\n",
	})
	for user, answer := range fcmFailures {
		s.fcm.Answer(fcmToken(user), answer)
		s.offline(user, fcmToken(user), "")
	}
	// If a registration was removed, its user's second message would not be pushed, and would have no answer.
	outage := func() {
		t.Helper()
		for range 2 {
			for user := range fcmFailures {
				s.write(user, "a message while the push service fails")
			}
		}
	}
	outage()
	want := answers{wait: 2 * len(fcmFailures)}
	s.wantAnswers(want)
	server.WaitLogs(ejabberdtest.Kept, want.wait)
	if err := s.gateway.load(strings.Replace(s.config, stateless, durable, 1)); err != nil {
		t.Fatal(err)
	}
	outage()
	want.result = 2 * len(fcmFailures)
	s.wantAnswers(want)
	server.WaitLogs(ejabberdtest.Accepted, want.result)
	s.wantKept()

	for _, user := range []string{"alice", "carol"} {
		s.offline(user, fcmToken(user), publishOptions("pushModule", "android"))
	}
	s.fcm.Unregister(fcmToken("alice"))
	s.write("alice", "a message for a dead device")
	server.WaitLog(ejabberdtest.Removed)
	// carol's messages come before and after one for which ejabberd has no registration any more.
	for i, user := range []string{"carol", "alice", "carol"} {
		s.write(user, "a message after a registration was removed")
		if user == "carol" {
			s.requests(fcmToken("carol"), (i+2)/2)
		}
	}
	want.result += 2
	want.gone = 1
	s.wantAnswers(want)
	s.requests(fcmToken("alice"), 1)
	if n := strings.Count(server.Log(), ejabberdtest.Removed); n != 1 {
		t.Errorf("ejabberd removed %d registrations", n)
	}
}

func TestX30_APushOfARealEjabberdArrivesEvenIfItIsEmpty(t *testing.T) {
	t.Parallel()
	s, server := newEjabberdScene(t, xmppOptions{})
	s.offline("alice", fcmToken("alice"), "")
	s.write("alice", "a message for a user who is offline")
	if got := priorityOf(t, s.requests(fcmToken("alice"), 1)[0]); !strings.EqualFold(got, "high") {
		t.Errorf("a message is sent with the priority %s", got)
	}
	s.hibernated("carol", fcmToken("carol"), "")
	for i, send := range []func(to string){s.typing, s.call} { // ejabberd's pushes for both are empty
		send("carol")
		if got := priorityOf(t, s.requests(fcmToken("carol"), i+1)[i]); !strings.EqualFold(got, "normal") {
			t.Errorf("an empty push is sent with the priority %s", got)
		}
	}
	s.wantAnswers(answers{result: 3})
	server.WaitLogs(ejabberdtest.Accepted, 3)
	s.wantKept()
}

func TestX13_AtARealEjabberdAComponentWithAnotherSecretIsPushedTo(t *testing.T) {
	t.Parallel()
	s, server := newEjabberdScene(t, xmppOptions{})
	s.offline("alice", fcmToken("alice"), "")
	second := strings.Replace(s.config, server.ComponentAddress, server.SecondAddress, 1)
	second = strings.Replace(second, "{env.XMPP_SECRET}", "{env.XMPP_SECOND_SECRET}", 1)
	for i, config := range []string{second, s.config} {
		if err := s.gateway.load(config); err != nil {
			t.Fatal(err)
		}
		server.WaitLogs("Route unregistered: "+xmpptest.Component, i+1)
		server.WaitLogs("<handshake/>", i+2)
		s.write("alice", "a message after the component has moved")
		s.requests(fcmToken("alice"), i+1)
		s.wantAnswers(answers{result: i + 1})
	}
	s.wantKept()
}

// ejabberd deletes each registration that it has a push for while no stream of the component is open.
func TestX13_AtARealEjabberdAnotherSecretCostsNoRegistration(t *testing.T) {
	t.Parallel()
	s, server := newEjabberdScene(t, xmppOptions{})
	const users = 5
	for i := range users {
		s.offline(fmt.Sprint("user", i), fcmToken(fmt.Sprint("user", i)), "")
	}
	second := strings.Replace(s.config, server.ComponentAddress, server.SecondAddress, 1)
	second = strings.Replace(second, "{env.XMPP_SECRET}", "{env.XMPP_SECOND_SECRET}", 1)
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	sent := 0
	for i := range 4 {
		loaded := make(chan error, 1)
		go func() { loaded <- s.gateway.load([]string{second, s.config}[i%2]) }()
		for moved := false; !moved || strings.Count(server.Log(), "Accepted external component ") < i+2; <-pace.C {
			select {
			case err := <-loaded:
				if err != nil {
					t.Fatal(err)
				}
				moved = true
			default:
				s.write(fmt.Sprint("user", sent%users), "a message while the component moves")
				sent++
			}
		}
	}
	s.offline("alice", fcmToken("alice"), "")
	s.write("alice", "a message after the component has moved")
	s.requests(fcmToken("alice"), 1)
	s.wantKept()
}

func TestX14_AfterARestartOfARealEjabberdTheGatewayIsBackWithin5Seconds(t *testing.T) {
	t.Parallel()
	s, server := newEjabberdScene(t, xmppOptions{})
	s.offline("alice", fcmToken("alice"), "")
	server.Stop()
	s.gateway.wantUp(t, xmpptest.Component, 0)
	server.Restart()
	back := time.Now()
	s.connected()
	if took := time.Since(back); took > 5*time.Second+generous {
		t.Errorf("the component is online after %v", took)
	}
	s.bob = server.Login("bob")
	s.write("alice", "a message after a restart")
	s.requests(fcmToken("alice"), 1)
	s.wantAnswers(answers{result: 1})
	s.wantKept()
}
