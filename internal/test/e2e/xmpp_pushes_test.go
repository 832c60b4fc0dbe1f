package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/prosodytest"
)

func TestX01_AProsodyFindsThePushService(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{})
	s.bob.Send("<iq type='get' id='info' to='" + prosodytest.Component + "'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
	info := s.bob.Expect("iq", "info").Inner
	for _, part := range []string{"category='pubsub'", "type='push'", "var='urn:xmpp:push:0'"} {
		if !strings.Contains(info, part) {
			t.Errorf("%s is not in %s", part, info)
		}
	}
	s.bob.Send("<iq type='get' id='ping' to='" + prosodytest.Component + "'><ping xmlns='urn:xmpp:ping'/></iq>")
	if e := s.bob.Expect("iq", "ping"); e.Attr("type") != "result" {
		t.Errorf("a ping is answered with %s", e.Attr("type"))
	}
}

func TestX03_X04_AMessageForAUserOfProsodyIsPushedWithItsPriority(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{
		apps: func(g *google) string { return g.app("im.example.drop", "", "") + g.app("im.example.push", "", "") },
		component: "app " + xmppApp + " {\ndefault\n}\napp im.example.drop {\nmodule drop\nunimportant drop\n}\n" +
			"app im.example.push {\nmodule push\nunimportant push\n}\ncoalesce 0s\n",
	})
	for _, tt := range []struct {
		name, module, typing string
	}{
		{"alice", "", "normal"}, {"carol", "drop", ""}, {"dave", "push", "high"},
	} {
		token, options := fcmToken(tt.name), ""
		if tt.module != "" {
			options = publishOptions("pushModule", tt.module)
		}
		s.offline(tt.name, token, options)
		s.write(tt.name, "a message for "+tt.name)
		if got := priorityOf(t, s.requests(token, 1)[0]); !strings.EqualFold(got, "high") {
			t.Errorf("%s: a message is sent with the priority %s", tt.name, got)
		}
		s.typing(tt.name)
		if tt.typing == "" {
			continue // the count of answers below shows that nothing was sent
		}
		if got := priorityOf(t, s.requests(token, 2)[1]); !strings.EqualFold(got, tt.typing) {
			t.Errorf("%s: a chat state is sent with the priority %s, want %s", tt.name, got, tt.typing)
		}
	}
	s.wantAnswers(answers{result: 6})
	s.requests(fcmToken("carol"), 1)
	s.wantKept()
}

func TestX17_ABurstOfProsodyBecomesAtMostTwoPushes(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{component: "app " + xmppApp + " {\ndefault\n}\ncoalesce 5s\n"})
	token := fcmToken("alice")
	old := s.hibernated("alice", token, "")
	for range 12 {
		s.write("alice", "one of twelve messages")
	}
	s.prosody.WaitLogs("Sending important push notification", 1)
	// Another session takes over the resource, and Prosody delivers the messages of the old one again.
	_, resource, _ := strings.Cut(old.JID, "/")
	began := time.Now()
	s.prosody.LoginAs("alice", resource)
	s.prosody.WaitLogs("Sending important push notification", 13)
	s.wantAnswers(answers{result: 13})
	most := 2 + int(time.Since(began)/(6*time.Second)) // more windows begin only on a machine that is very slow
	if n := s.delivered(token); n < 1 || n > most {
		t.Errorf("the device got %d pushes, want at most %d", n, most)
	}
}

func TestX18_ACallIsPushedOnceAndAtOnce(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{component: "app " + xmppApp + " {\ndefault\n}\ncoalesce 2s\n"})
	token := fcmToken("alice")
	s.hibernated("alice", token, "")
	s.call("alice")
	if got := priorityOf(t, s.requests(token, 1)[0]); !strings.EqualFold(got, "high") {
		t.Errorf("the call is sent with the priority %s", got)
	}
	s.wantAnswers(answers{result: 2})
	s.requests(token, 1)
}

func TestX19_AfterAnOutageADeviceIsWokenOnce(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{global: durable})
	token := fcmToken("alice")
	s.offline("alice", token, "")
	s.fcm.Answer(token, down)
	for i := range 10 {
		s.write("alice", "a message while the push service is down")
		s.wantAnswers(answers{result: i + 1})
	}
	if n := s.delivered(token); n != 0 {
		t.Fatalf("FCM took %d messages", n)
	}
	s.fcm.Answer(token)
	if err := s.gateway.load(strings.Replace(s.config, "matrix_push {\n", "matrix_push {\nmax_devices 201\n", 1)); err != nil {
		t.Fatal(err)
	}
	until(t, "nothing is pending", func() bool {
		all, _ := s.gateway.scrape()
		pending, ok := all[`caddy_matrix_push_outbox_entries{app="`+xmppApp+`"}`]
		return ok && pending == 0
	})
	// A push is not replaced while an attempt at it is under way, and there is one such attempt at most.
	if n := s.delivered(token); n < 1 || n > 2 {
		t.Errorf("FCM took %d messages, want 1 or 2", n)
	}
	s.wantKept()
}
