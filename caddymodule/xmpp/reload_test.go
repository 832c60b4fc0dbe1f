package xmpp_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

func init() { caddy.RegisterModule(new(unstartable)) }

// unstartable is a Caddy app that fails to start.
type unstartable struct{}

func (*unstartable) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "test_xmpp_unstartable", New: func() caddy.Module { return new(unstartable) }}
}
func (*unstartable) Start() error { return errors.New("as always") }
func (*unstartable) Stop() error  { return nil }

func TestX01_AComponentConnectsAndAnnouncesItself(t *testing.T) {
	server := xmpptest.NewServer(t, xmpptest.Prosody)
	config := configOf(t, t.TempDir(), options{server.Domain: componentOf(server.Listen(t), server.Secret, nil)}, nil)
	if err := validate(t, config); err != nil {
		t.Fatal(err)
	}
	if n := server.Dials(); n != 0 {
		t.Fatalf("it dialed %d times to validate", n)
	}
	load(t, config)
	s := online(t, server)
	send(t, s, `<iq id='1' from='alice@example.test/p' to='push.example.test' type='get'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`)
	want := []string{"category='pubsub' type='push'", "var='urn:xmpp:push:0'", "var='http://jabber.org/protocol/commands'"}
	wantParts(t, receive(t, s).Inner, want...)
	send(t, s, `<iq id='2' from='alice@example.test/p' to='push.example.test' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`)
	if e := receive(t, s); e.Attr("type") != "result" || e.Attr("id") != "2" {
		t.Errorf("a ping is answered with %+v", e)
	}
}

func TestX12_AReloadThatFailsElsewhereLeavesTheHandlerOnItsStream(t *testing.T) {
	server := xmpptest.NewServer(t, xmpptest.Prosody)
	address, root := server.Listen(t), t.TempDir()
	load(t, configOf(t, root, options{server.Domain: componentOf(address, server.Secret, nil)}, nil))
	s := online(t, server)
	for i := range 20 { // Caddy starts its apps in any order
		denying := options{server.Domain: componentOf(address, server.Secret, options{"deny": []string{"*"}})}
		failing := configOf(t, root, denying, options{"test_xmpp_unstartable": options{}})
		if err := caddy.Load(failing, true); err == nil {
			t.Fatal("it loads")
		}
		send(t, s, publish(fmt.Sprint(i), "example.test", server.Domain, "alive"))
		if got := receive(t, s).Verdict(); got != "result" {
			t.Fatalf("after a reload that failed, a push is answered with %s", got)
		}
	}
	if n := server.Dials(); n != 1 {
		t.Errorf("it dialed %d times", n)
	}
}

func TestX13_AnotherSecretReconnectsAndWithoutTheComponentTheStreamEndsInOrder(t *testing.T) {
	server := xmpptest.NewServer(t, xmpptest.Prosody)
	other := xmpptest.NewServer(t, xmpptest.Prosody)
	root := t.TempDir()
	load(t, configOf(t, root, options{server.Domain: componentOf(server.Listen(t), server.Secret, nil)}, nil))
	first := online(t, server)
	load(t, configOf(t, root, options{server.Domain: componentOf(other.Listen(t), other.Secret, nil)}, nil))
	second := online(t, other)
	ended(t, first)
	load(t, configOf(t, root, nil, options{"xmpp_push": nil}))
	ended(t, second)
}

func TestX13_WhatIsInHandIsAnsweredBeforeTheStreamEnds(t *testing.T) {
	server := xmpptest.NewServer(t, xmpptest.Prosody)
	held := componentOf(server.Listen(t), server.Secret, options{"coalesce": "20s"})
	load(t, configOf(t, t.TempDir(), options{server.Domain: held}, nil))
	s := online(t, server)
	send(t, s, publish("1", "example.test", server.Domain, "alive-1"))
	if got := receive(t, s).Verdict(); got != "result" {
		t.Errorf("a push is answered with %s", got)
	}
	<-pushed
	send(t, s, publish("slow", "example.test", server.Domain, "slow-1"))
	<-pushed
	const encrypted = "<encrypted xmlns='tigase:push:encrypt:0' iv='i'>e</encrypted></notification>" // so it is not the same push again
	send(t, s, strings.ReplaceAll(publish("held", "example.test", server.Domain, "alive-1"), "</notification>", encrypted))
	send(t, s, `<iq id='ping' from='example.test' to='push.example.test' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`)
	if e := receive(t, s); e.Attr("id") != "ping" {
		t.Errorf("a push that is slow or held is answered at once: %+v", e)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- caddy.Stop() }()
	<-pushed // the held one goes out
	if e := receive(t, s); e.Attr("id") != "held" || e.Verdict() != "result" {
		t.Errorf("the held push is answered with %+v", e)
	}
	release.open()
	if e := receive(t, s); e.Attr("id") != "slow" || e.Verdict() != "result" {
		t.Errorf("the slow push is answered with %+v", e)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	ended(t, s)
}

// ended waits until a stream has ended as XMPP wants it.
func ended(t *testing.T, s *xmpptest.Stream) {
	t.Helper()
	for range s.Received {
	}
	if !errors.Is(s.Err, io.EOF) {
		t.Errorf("the stream ended with %v", s.Err)
	}
}

func TestX11_ReloadsUnderPushesLoseAndRepeatNothing(t *testing.T) {
	server := xmpptest.NewServer(t, xmpptest.Prosody)
	address, root := server.Listen(t), t.TempDir()
	configs := [2][]byte{}
	for i := range configs {
		apps := options{"im.example": options{"default": true}}
		if i == 1 {
			apps["im.example.second"] = options{"modules": []string{"second"}}
		}
		component := componentOf(address, server.Secret, options{"apps": apps, "rate": options{"per_second": 1e5}})
		more := options{"matrix_push": gatewayOf("im.example", "im.example.second")}
		configs[i] = configOf(t, root, options{server.Domain: component}, more)
	}
	load(t, configs[0])
	s := online(t, server)
	reloaded := make(chan error, 1)
	go func() {
		for i := range 20 {
			if err := caddy.Load(configs[(i+1)%2], true); err != nil {
				reloaded <- err
				return
			}
		}
		reloaded <- nil
	}()
	sent, answers := 0, make(map[string]string)
	for done := false; !done; sent++ {
		select {
		case err := <-reloaded:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
		}
		send(t, s, publish(fmt.Sprint(sent), "example.test", server.Domain, fmt.Sprint("alive-", sent)))
		// Some are on their way during each reload.
		for sent-len(answers) >= 50 {
			collect(t, s, answers)
		}
	}
	for len(answers) < sent {
		collect(t, s, answers)
	}
	for id, got := range answers {
		if got != "result" {
			t.Fatalf("the push %s is answered with %s", id, got)
		}
	}
	seen := make(map[string]bool)
	for range sent {
		p := <-pushed
		if seen[p.Device.Pushkey] {
			t.Errorf("%s was pushed twice", p.Device.Pushkey)
		}
		seen[p.Device.Pushkey] = true
	}
	if n := server.Dials(); n != 1 {
		t.Errorf("it dialed %d times", n)
	}
}

// collect takes the next answer.
func collect(t *testing.T, s *xmpptest.Stream, answers map[string]string) {
	t.Helper()
	e := receive(t, s)
	if id := e.Attr("id"); answers[id] != "" {
		t.Errorf("the push %s is answered twice", id)
	}
	answers[e.Attr("id")] = e.Verdict()
}
