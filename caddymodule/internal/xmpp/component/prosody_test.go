package component

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/prosodytest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

// forProsody are the options of a real Prosody's component.
func forProsody(s *prosodytest.Server) Options {
	return Options{
		JID: prosodytest.Component, Server: s.ComponentAddress,
		Secret: func() (string, error) { return prosodytest.Secret, nil },
	}
}

// publishes is a handler that answers publishes, and sends them to a channel before that.
func publishes() (handler, chan *xmpptest.Element) {
	received := make(chan *xmpptest.Element, 1024)
	h := echo
	h.handle = func(ctx context.Context, stanza []byte, reply Reply) {
		if strings.Contains(string(stanza), "<publish ") {
			received <- rootOf(stanza)
		}
		echo.handle(ctx, stanza, reply)
	}
	return h, received
}

func TestX02_ProsodyRefusesWithTheRecordedWords(t *testing.T) {
	t.Parallel()
	s := prosodytest.Start(t)
	wrong, unknown := forProsody(s), forProsody(s)
	wrong.Secret = func() (string, error) { return "canary", nil }
	unknown.JID = "nope.example.test"
	for reason, options := range map[string]Options{"not_authorized": wrong, "host_unknown": unknown} {
		if f := run(t, nil, echo, options).failure(0); f.Reason != reason || f.Hint == "" || !f.Log {
			t.Errorf("got %+v, and not %s", f, reason)
		}
	}
	first := run(t, nil, echo, forProsody(s))
	<-first.up
	second := run(t, nil, echo, forProsody(s))
	if f := second.failure(0); f.Reason != "conflict" || f.Hint == "" || !f.Log {
		t.Errorf("got %+v", f)
	}
	first.stop()
	<-second.up
}

func TestX13_ProsodySeesTheStreamCloseInOrder(t *testing.T) {
	t.Parallel()
	s := prosodytest.Start(t)
	r := run(t, nil, echo, forProsody(s))
	<-r.up
	r.stop()
	s.WaitLog("Received </stream:stream>")
	if f := r.failure(0); f.Reason != Stopped {
		t.Errorf("got %+v", f)
	}
}

func TestX14_ProsodyRestartsAndTheComponentIsOnlineAgain(t *testing.T) {
	t.Parallel()
	s := prosodytest.Start(t)
	s.AddUser("alice")
	h, received := publishes()
	r := run(t, nil, h, forProsody(s))
	<-r.up
	alice := s.Login("alice")
	alice.EnablePush(prosodytest.Component, "tok", "")
	alice.Logout()
	for n, end := range []func(){s.Kill, s.Stop} {
		end()
		if f := r.lost(n + 1); f.Reason != Closed && f.Reason != Broken && f.Reason != "system_shutdown" {
			t.Errorf("got %+v", f)
		}
		s.Restart()
		<-r.up
	}
	s.AddUser("bob")
	bob := s.Login("bob")
	bob.Message("alice@example.test", "m", "hello")
	if e := <-received; e.Attr("from") != "example.test" {
		t.Errorf("got %+v", e)
	}
}

func TestX16_ProsodysPublishesAreReadWhileAHandlerWaits(t *testing.T) {
	t.Parallel()
	s := prosodytest.Start(t)
	s.AddUser("alice")
	h, received := publishes()
	release := make(chan struct{})
	answers := h.handle
	h.handle = func(ctx context.Context, stanza []byte, reply Reply) {
		if strings.Contains(string(stanza), "id='slow'") {
			<-release
		}
		answers(ctx, stanza, reply)
	}
	r := run(t, nil, h, forProsody(s))
	<-r.up
	alice := s.Login("alice")
	alice.EnableStreamManagement()
	alice.EnablePush(prosodytest.Component, "tok", "")
	alice.Available()
	other := s.Login("alice")
	other.Send("<iq type='get' id='slow' to='push.example.test'><ping xmlns='urn:xmpp:ping'/></iq>")
	alice.Hibernate()
	other.Message(alice.JID, "m", "hello")
	<-received
	close(release)
	other.Expect("iq", "slow")
}

func TestX32_ProsodyGetsEveryIDBackAndKeepsTheStream(t *testing.T) {
	t.Parallel()
	s := prosodytest.Start(t)
	s.AddUser("alice")
	h, replies := lent()
	r := run(t, nil, h, forProsody(s))
	<-r.up
	alice := s.Login("alice")
	for _, id := range strangeIDs() {
		alice.Send("<iq type='get' to='push.example.test/r' id='" + xmpptest.Escape(id) + "'><ping xmlns='urn:xmpp:ping'/></iq>")
		if e := alice.Expect("iq", id); e.Attr("from") != "push.example.test/r" || e.Attr("type") != "result" {
			t.Errorf("got %+v for %q", e, id)
		}
	}
	send := <-replies
	for _, stanza := range []string{"<iq type='result' id='1' to='example.test'/>", "<iq type='result' id='1' from='example.test' to='a.test'/>"} {
		if err := send([]byte(stanza)); err == nil || errors.Is(err, ErrOffline) {
			t.Errorf("%s: %v", stanza, err)
		}
	}
	if f := r.all(); len(f) != 0 {
		t.Errorf("the stream ended: %+v", f)
	}
}

func TestX32_ProsodyEndsTheStreamForAStanzaThatTheCheckRefuses(t *testing.T) {
	t.Parallel()
	s := prosodytest.Start(t)
	o, conns := forProsody(s), make(chan net.Conn, 16)
	o.dial = func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx, o.Server, nil)
		conns <- conn
		return conn, err
	}
	r := run(t, nil, echo, o)
	<-r.up
	if _, err := (<-conns).Write([]byte("<iq type='result' id='1' from='example.test' to='a.test'/>")); err != nil {
		t.Fatal(err)
	}
	if f := r.failure(0); f.Reason != "invalid_from" {
		t.Errorf("got %+v", f)
	}
	within(t, time.Minute, "the reconnection", func() { <-r.up })
}

func TestX33_AUserOfProsodyCannotEndTheStream(t *testing.T) {
	t.Parallel()
	s := prosodytest.Start(t)
	s.AddUser("alice")
	r := run(t, nil, echo, forProsody(s))
	<-r.up
	alice := s.Login("alice")
	alice.Message(prosodytest.Component, "large", strings.Repeat("x", 100_000))
	const levels = 10_000
	alice.Send("<message to='push.example.test' id='deep'>" + strings.Repeat("<a>", levels) + strings.Repeat("</a>", levels) + "</message>")
	alice.Send("<iq type='get' to='push.example.test' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>")
	if e := alice.Expect("iq", "ping"); e.Attr("type") != "result" {
		t.Errorf("got %+v", e)
	}
	if f := r.all(); len(f) != 0 {
		t.Errorf("the stream ended: %+v", f)
	}
	if want := []string{TooLarge, TooDeep}; !slices.Equal(r.ignored, want) {
		t.Errorf("ignored: %q", r.ignored)
	}
}
