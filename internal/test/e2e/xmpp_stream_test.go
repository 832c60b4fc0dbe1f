package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/prosodytest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestX10_WhileCaddyIsStoppedProsodyKeepsTheRegistration(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{})
	token := fcmToken("alice")
	s.offline("alice", token, "")
	s.gateway.terminate()
	for range 3 {
		s.write("alice", "a message while the gateway is away")
	}
	s.prosody.WaitLogs("NOT increasing error count", 3)
	s.gateway.start(s.config)
	s.connected()
	s.write("alice", "a message once the gateway is back")
	s.requests(token, 1)
	s.wantAnswers(answers{result: 1})
	s.wantKept()
}

func TestX11_ReloadsUnderPushesOfProsodyKeepTheStream(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{apps: func(g *google) string { return g.app("im.example.other", "", "") }})
	const users = 10
	for i := range users {
		s.offline(fmt.Sprint("user", i), fcmToken(fmt.Sprint("user", i)), "")
	}
	other := strings.Replace(s.config, "register fcm\n}\n", "register fcm\n}\napp im.example.other {\nmodule other\n}\n", 1)
	reloaded := make(chan error, 1)
	go func() {
		for i := range 20 {
			if err := s.gateway.load([]string{other, s.config}[i%2]); err != nil {
				reloaded <- err
				return
			}
		}
		close(reloaded)
	}()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	sent := 0
	for loading := true; loading; <-pace.C {
		select {
		case err := <-reloaded:
			if err != nil {
				t.Fatal(err)
			}
			loading = false
		default:
			s.write(fmt.Sprint("user", sent%users), "a message during reloads")
			sent++
		}
	}
	s.wantAnswers(answers{result: sent})
	if n := len(s.fcm.Messages()); n != sent {
		t.Errorf("FCM took %d messages of %d", n, sent)
	}
	all, _ := s.gateway.scrape()
	if n := all.total("xmpp_connections_total"); n != 1 {
		t.Errorf("there were %v connections", n)
	}
	if n := all.total("xmpp_connection_failures_total"); n != 0 {
		t.Errorf("%v connections failed", n)
	}
}

func TestX12_AReloadThatFailsInAnotherAppLeavesTheStreamAsItWas(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{})
	token := fcmToken("alice")
	s.offline("alice", token, "")
	_, taken, _ := strings.Cut(hangsUp(t), ":")
	failing := strings.Replace(s.config, "coalesce 0s\n", "coalesce 0s\ndeny *\n", 1) + "http://127.0.0.1:" + taken + " {\n}\n"
	for i := range 3 {
		if err := s.gateway.load(failing); err == nil {
			t.Fatal("a configuration with an address that is taken loads")
		}
		s.write("alice", "a message after a reload that failed")
		s.wantAnswers(answers{result: i + 1})
	}
	all, _ := s.gateway.scrape()
	if n := all.total("xmpp_connections_total"); n != 1 {
		t.Errorf("there were %v connections", n)
	}
}

func TestX14_AfterARestartOfProsodyTheGatewayIsBackWithin5Seconds(t *testing.T) {
	t.Parallel()
	s := newXMPPScene(t, xmppOptions{})
	token := fcmToken("alice")
	s.offline("alice", token, "")
	s.prosody.Kill()
	s.gateway.wantUp(t, prosodytest.Component, 0)
	s.prosody.Restart()
	back := time.Now()
	s.connected()
	if took := time.Since(back); took > 5*time.Second+generous {
		t.Errorf("the component is online after %v", took)
	}
	s.bob = s.prosody.Login("bob")
	s.write("alice", "a message after a restart")
	s.requests(token, 1)
	s.wantAnswers(answers{result: 1})
}

func TestX15_TwoComponentsDoNotMixAndOneThatIsDownDoesNotSlowTheOther(t *testing.T) {
	t.Parallel()
	const second, away = "push2.example.test", "away.example.test"
	prosody := prosodytest.Start(t, "Component \""+second+"\"\ncomponent_secret = \""+prosodytest.Secret+"\"")
	g, p := newGoogle(t), newXMPPGateway(t)
	blocks := ""
	servers := map[string]string{prosodytest.Component: prosody.ComponentAddress, second: prosody.ComponentAddress, away: hangsUp(t)}
	for jid, server := range servers {
		app := map[string]string{prosodytest.Component: xmppApp, second: "im.example.second", away: "im.example.away"}[jid]
		blocks += componentBlock(jid, server, "app "+app+" {\ndefault\n}\ncoalesce 0s\n")
	}
	p.start(xmppConfig(stateless+g.app(xmppApp, "", "")+g.app("im.example.second", "", "")+g.app("im.example.away", "", ""), blocks))
	p.wantUp(t, prosodytest.Component, 1)
	p.wantUp(t, second, 1)
	p.wantUp(t, away, 0)
	s := &xmppScene{t: t, server: prosody, prosody: prosody, fcm: g, gateway: p}
	s.bob = s.login("bob")
	s.offline("alice", fcmToken("alice"), "")
	carol := s.login("carol")
	noteNode(fcmToken("carol"))
	carol.EnablePush(second, fcmToken("carol"), "")
	carol.Logout()
	s.write("alice", "a message by the first component")
	s.write("carol", "a message by the second component")
	p.wantAnswers(t, prosodytest.Component, answers{result: 1})
	p.wantAnswers(t, second, answers{result: 1})
	all, _ := p.scrape()
	for _, app := range []string{xmppApp, "im.example.second"} {
		if n := all.total("pushes_total", `app="`+app+`"`); n != 1 {
			t.Errorf("%s: %v pushes are counted", app, n)
		}
	}
}

func TestX16_APushThatTakesLongDelaysNoOther(t *testing.T) {
	t.Parallel()
	g, e := newGoogle(t), newEjabberd(t)
	e.gateway(stateless+g.app(xmppApp, "", ""), xmppComponent)
	slow := fcmToken("slow")
	g.Answer(slow, providertest.Answer{Hang: true})
	late := e.publish("ej.test", slow)
	until(t, "FCM has the slow push", func() bool { return len(g.requestsFor(slow)) == 1 })
	quick := make([]string, 100)
	for i := range quick {
		quick[i] = e.publish("ej.test", fcmToken(fmt.Sprint("quick", i)))
	}
	until(t, "all other pushes are answered", func() bool { return e.open() <= 1 })
	for _, id := range quick {
		if got := e.answer(id); got != "result" {
			t.Fatalf("another push is answered with %s", got)
		}
	}
	e.mu.Lock()
	_, waits := e.asked[late]
	e.mu.Unlock()
	if !waits {
		t.Error("the slow push was answered, although FCM has not answered")
	}
}
