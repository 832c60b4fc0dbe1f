package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fcmtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/prosodytest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestX06_ADeadDeviceIsAskedForOnceAndProsodyRemovesItsRegistration(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{})
	token := fcmToken("alice")
	s.offline("alice", token, "")
	s.fcm.Unregister(token)
	for i := range 4 { // push_max_errors
		s.write("alice", "a message for a dead device")
		s.wantAnswers(answers{gone: i + 1})
	}
	s.prosody.WaitLog("Disabling push notifications for identifier")
	s.requests(token, 1)
	s.write("alice", "a message after the registration was removed")
	s.prosody.WaitLogs("Invoking cloud handle_notify_request() for offline stanza", 5)
	s.wantAnswers(answers{gone: 4})
}

// fcmFailures are the ways in which FCM fails.
var fcmFailures = map[string]providertest.Answer{
	"ivan":   fcmtest.ErrorFor("INTERNAL"),
	"judy":   fcmtest.ErrorFor("QUOTA_EXCEEDED"),
	"karl":   fcmtest.ErrorFor("UNAUTHENTICATED"),
	"laura":  {Hang: true},
	"mallet": {Drop: true},
}

func TestX07_APushServiceThatFailsCostsNoRegistration(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		global string
		want   answers
	}{
		"with an outbox":    {durable, answers{result: 20}},
		"without an outbox": {stateless, answers{wait: 20}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newXMPPScene(t, xmppOptions{
				global: tt.global, apps: func(g *google) string { return g.app("im.example.hasty", "", "wait 1s") },
				component: "app im.example.hasty {\ndefault\n}\ncoalesce 0s\n",
			})
			for user, answer := range fcmFailures {
				s.fcm.Answer(fcmToken(user), answer)
				s.offline(user, fcmToken(user), "")
			}
			for range 4 {
				for user := range fcmFailures {
					s.write(user, "a message while the push service fails")
				}
			}
			s.wantAnswers(tt.want)
			s.wantKept()
		})
	}
}

func TestX08_X09_AtEjabberdOnlyADeadDeviceLosesItsRegistration(t *testing.T) {
	t.Parallel()
	for name, global := range map[string]string{"with an outbox": durable, "without an outbox": stateless} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, e := newGoogle(t), newEjabberd(t)
			want := "wait remote-server-timeout"
			if global == durable {
				want = "result"
			}
			e.gateway(global+g.app(xmppApp, "", "wait 1s"), xmppComponent)
			for user, answer := range fcmFailures {
				g.Answer(fcmToken(user), answer)
				for range 4 {
					e.want(want, "ej.test", fcmToken(user))
				}
			}
			if n := e.lost(); n != 0 {
				t.Errorf("%d registrations were removed", n)
			}
		})
	}
	t.Run("a dead device", func(t *testing.T) {
		t.Parallel()
		g, e := newGoogle(t), newEjabberd(t)
		e.gateway(stateless+g.app(xmppApp, "", ""), xmppComponent)
		g.Unregister(fcmToken("alice"))
		e.want("cancel item-not-found", "ej.test", fcmToken("alice"))
		if n := e.lost(); n != 1 {
			t.Errorf("%d registrations were removed", n)
		}
	})
}

func TestX09_X21_AMistakeOfTheOperatorCostsNoRegistrationAndAlarms(t *testing.T) {
	t.Parallel()
	g, e := newGoogle(t), newEjabberd(t)
	global := stateless + g.app(xmppApp, "", "")
	p, _ := e.gateway(global, xmppComponent)
	node, secret := e.register("alice@ej.test/phone")
	e.want("result", "ej.test", node, "secret", secret)
	load := func(options string) {
		t.Helper()
		if err := p.load(xmppConfig(global, e.component(options))); err != nil {
			t.Fatal(err)
		}
	}
	const wait = "wait remote-server-timeout"

	load(xmppComponent + "deny ej.test\n")
	e.want(wait, "ej.test", node, "secret", secret)
	p.alarm(t, "domain_denied")
	load(xmppComponent + "allow other.test\n")
	e.want(wait, "ej.test", node, "secret", secret)
	e.want("result", "other.test", fcmToken("bob"))
	load("app " + xmppApp + " {\nmodule another\n}\ncoalesce 0s\n")
	e.want(wait, "ej.test", node, "secret", secret)
	p.alarm(t, "app_missing")
	load(xmppComponent + "rate 1/s 1\n")
	for range 3 {
		e.want(wait, "fast.test", "")
	}
	p.alarm(t, "rate_exceeded")
	e.want("result", "ej.test", node, "secret", secret)

	// The storage is lost.
	p.terminate()
	if err := os.RemoveAll(filepath.Join(p.dir, "storage", "matrix_push")); err != nil {
		t.Fatal(err)
	}
	p.start(xmppConfig(global, e.component(xmppComponent)))
	e.connected()
	e.want(wait, "ej.test", node, "secret", secret)
	p.alarm(t, "key_unknown")
	if n := e.lost(); n != 0 {
		t.Errorf("%d registrations were removed", n)
	}
	status := p.running("", "status")
	for _, part := range []string{e.Domain, "restore the keys"} {
		if !strings.Contains(status.out, part) {
			t.Errorf("status doesn't show %q: %s", part, status.out)
		}
	}
}

// register registers a device for FCM as a client of p2 does.
func (e *ejabberd) register(from string) (node, secret string) {
	e.t.Helper()
	e.send(registration("reg", from, e.Domain, "phone", fcmToken("alice")))
	until(e.t, "the registration is answered", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		node, secret = e.fields["node"], e.fields["secret"]
		return node != ""
	})
	canaries.noteOpaque(aCredential, secret)
	return node, secret
}

// registration is the command with which Conversations registers a device.
func registration(id, from, to, device, token string) string {
	if from != "" {
		from = " from='" + from + "'"
	}
	canaries.noteOpaque(aPushkey, token)
	return fmt.Sprintf(`<iq type='set' id='%s'%s to='%s'>`+
		`<command xmlns='http://jabber.org/protocol/commands' node='register-push-fcm' action='execute'>`+
		`<x xmlns='jabber:x:data' type='submit'><field var='token'><value>%s</value></field>`+
		`<field var='android-id'><value>%s</value></field></x></command></iq>`,
		id, from, to, token, device)
}

func TestX20_AUserCannotPushInTheNameOfAServer(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{})
	token := fcmToken("alice")
	noteNode(token)
	s.bob.Send(`<iq type='set' id='forged' to='` + prosodytest.Component + `'>` +
		`<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='` + token +
		`'><item><notification xmlns='urn:xmpp:push:0'/></item></publish></pubsub></iq>`)
	if e := s.bob.Expect("iq", "forged"); !strings.Contains(e.Inner, "<forbidden ") {
		t.Errorf("it is answered with %s", e.Inner)
	}
	s.wantAnswers(answers{forbidden: 1})
	if n := len(s.fcm.Requests()); n != 0 {
		t.Errorf("FCM got %d requests", n)
	}
}

func TestX21_AtProsodyADeniedDomainKeepsItsRegistrations(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{component: xmppComponent + "deny " + prosodytest.Domain + "\n"})
	s.offline("alice", fcmToken("alice"), "")
	for range 5 {
		s.write("alice", "a message of a denied domain")
	}
	s.wantAnswers(answers{wait: 5})
	s.wantKept()
	s.gateway.alarm(t, "domain_denied")
	if n := len(s.fcm.Requests()); n != 0 {
		t.Errorf("FCM got %d requests", n)
	}
}
