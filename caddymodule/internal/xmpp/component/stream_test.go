package component

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

func TestX16_AHandlerThatWaitsDoesNotStopTheReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		release := make(chan struct{})
		h := echo
		h.handle = func(ctx context.Context, stanza []byte, reply Reply) {
			if rootOf(stanza).Attr("id") == "slow" {
				<-release
			}
			echo.handle(ctx, stanza, reply)
		}
		run(t, s, h, Options{})
		stream := s.Accept()
		_ = stream.Send(request("slow"))
		within(t, 0, "100 requests and answers", func() {
			for i := range 100 {
				_ = stream.Send(request(fmt.Sprint(i)))
				if e := <-stream.Received; e.Attr("id") != fmt.Sprint(i) {
					t.Fatalf("got %+v", e)
				}
			}
		})
		close(release)
		if e := <-stream.Received; e.Attr("id") != "slow" {
			t.Errorf("got %+v", e)
		}
	})
}

func TestX16_MoreWorkThanThereIsRoomForIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		release := make(chan struct{})
		h := echo
		h.handle = func(context.Context, []byte, Reply) { <-release }
		run(t, s, h, Options{})
		stream := s.Accept()
		for range defaultMaxWork {
			_ = stream.Send(request("1"))
		}
		synctest.Wait()
		if n := len(stream.Received); n != 0 {
			t.Fatalf("%d stanzas were answered", n)
		}
		_ = stream.Send(request("2"))
		if e := <-stream.Received; e.Attr("id") != "2" || e.Attr("type") != "error" {
			t.Errorf("got %+v", e)
		}
		close(release)
	})
}

func TestX16_LargeStanzasHaveLessRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWork(defaultMaxWork)
		wait := func(ctx context.Context) { <-ctx.Done() }
		for range maxWorkBytes / defaultMaxStanza {
			if !w.begin(defaultMaxStanza, wait) {
				t.Fatal("there is no room")
			}
		}
		if w.begin(1, wait) {
			t.Error("there is more room than there should be")
		}
		w.drain(time.Second)
		if w.n != 0 || w.bytes != 0 {
			t.Errorf("%d stanzas and %d bytes are left", w.n, w.bytes)
		}
	})
}

func TestX32_IDsComeBackEqual(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Ejabberd)
		run(t, s, echo, Options{})
		stream := s.Accept()
		for _, id := range strangeIDs() {
			_ = stream.Send(request(id))
			e, ok := <-stream.Received
			if !ok {
				t.Fatalf("the stream ended with %v", stream.Err)
			}
			if e.Attr("id") != id || e.Attr("from") != "push.example.test" || e.Attr("to") != "example.test" {
				t.Errorf("got %+v for %q", e, id)
			}
		}
	})
}

// strangeIDs are ids that need care. The last but one is in the form of ejabberd's.
func strangeIDs() []string {
	return []string{
		"'", `"`, "&", "<", ">", "/", "+", "&amp;", "]]>", "é…", " ", "</iq>", strings.Repeat("x", 1000), strings.Repeat("<&'", 333),
		"rr-1795926264466-4289011468869912980-6hwkI87XxfS20jLxry9u5pUto5M=-18129716", "a\tb\nc",
	}
}

func TestX32_AStanzaThatWouldEndTheStreamIsNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		h, replies := lent()
		run(t, s, h, Options{})
		stream := s.Accept()
		_ = stream.Send(request("1"))
		send := <-replies
		<-stream.Received
		for _, stanza := range []string{
			"", "text", "<iq", "<iq type='result' to='a.test'/>", "<iq type='result' from='push.example.test'/>", "<iq from='' to='a.test'/>",
			"<iq from='push.example.test' to=''/>", "<iq from='example.test' to='a.test'/>", "<iq from='x.push.example.test' to='a.test'/>",
			"<iq from='a.test/push.example.test' to='a.test'/>", "<iq from='push.example.test@a.test' to='a.test'/>",
			"<iq from='push.example.test' to='a.test'>", "<iq from='push.example.test' to='a.test'/></stream:stream>",
			"<iq from='push.example.test' to='a.test'/><iq/>", "<iq from='push.example.test' to='a.test'></message>",
			"<iq from='push.example.test' to='a.test'><!-- --></iq>", "<iq from='push.example.test' to='a.test'><?a b?></iq>",
			"<!DOCTYPE a><iq from='push.example.test' to='a.test'/>", "<iq from='push.example.test' to='a.test'>\xff</iq>",
			"<iq from='push.example.test' to='a.test' id='\x01'/>", "<stream from='push.example.test' to='a.test'/>",
			"<iq xmlns='jabber:client' from='push.example.test' to='a.test'/>", " <iq from='push.example.test' to='a.test'/>",
			"<x:iq xmlns:x='urn:x' from='push.example.test' to='a.test'/>", "<iq x:from='push.example.test' x:to='a.test'/>",
		} {
			if err := send([]byte(stanza)); err == nil {
				t.Errorf("%q was sent", stanza)
			}
		}
		for _, stanza := range []string{
			"<iq from='push.example.test' to='a.test'/>", "<message from='user@push.example.test/res@x' to='a@a.test/b'><body>a &amp; b</body></message>",
			"<presence from='push.example.test/res' to='a.test'></presence>",
		} {
			if err := send([]byte(stanza)); err != nil {
				t.Errorf("%q was not sent: %v", stanza, err)
			}
			if _, ok := <-stream.Received; !ok {
				t.Fatalf("the stream ended with %v at %q", stream.Err, stanza)
			}
		}
	})
}

func TestOnlyTheStreamOfARequestGetsItsAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		release, replied := make(chan struct{}), make(chan error)
		h := echo
		h.handle = func(_ context.Context, stanza []byte, reply Reply) {
			<-release
			replied <- reply(answer(stanza, "result"))
		}
		run(t, s, h, Options{})
		stream := s.Accept()
		_ = stream.Send(request("1"))
		synctest.Wait()
		stream.Break()
		second := s.Accept()
		close(release)
		if err := <-replied; !errors.Is(err, ErrOffline) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if len(second.Received) != 0 {
			t.Error("the answer went to the next stream")
		}
	})
}

func TestAServerThatDoesNotReadEndsTheStreamAndNotTheMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		deaf := make(chan net.Conn, 1)
		first := true
		dial := func(ctx context.Context) (net.Conn, error) {
			conn, err := s.Dial(ctx)
			if first && err == nil {
				first = false
				d := &deafConn{Conn: conn}
				conn = d
				deaf <- d
			}
			return conn, err
		}
		h, replies := lent()
		r := run(t, s, h, Options{dial: dial})
		_ = s.Accept().Send(request("1"))
		send := <-replies
		(<-deaf).(*deafConn).deaf.Store(true)
		stanza := []byte("<message from='push.example.test' to='example.test'><body>" + strings.Repeat("x", 1000) + "</body></message>")
		n := 0
		for ; ; n++ {
			if err := send(stanza); errors.Is(err, ErrFull) {
				break
			}
		}
		if bytes := n * len(stanza); bytes > 2*maxQueue {
			t.Errorf("%d bytes were accepted", bytes)
		}
		within(t, writeTime+closeTime, "the end", func() {
			if f := r.failure(0); f.Reason != Timeout || !f.Online {
				t.Errorf("got %+v", f)
			}
		})
		<-r.up
	})
}

// deafConn is a connection whose server stops reading.
type deafConn struct {
	net.Conn
	deaf     atomic.Bool
	deadline time.Time
}

func (c *deafConn) SetWriteDeadline(at time.Time) error {
	c.deadline = at
	return nil
}

func (c *deafConn) Write(p []byte) (int, error) {
	if !c.deaf.Load() {
		return c.Conn.Write(p)
	}
	time.Sleep(time.Until(c.deadline))
	return 0, os.ErrDeadlineExceeded
}

func TestASpaceEachMinuteShowsWhetherTheConnectionWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		var spaces atomic.Int32
		dial := func(ctx context.Context) (net.Conn, error) {
			conn, err := s.Dial(ctx)
			return countSpaces{conn, &spaces}, err
		}
		r := run(t, s, echo, Options{dial: dial})
		<-r.up
		stream := s.Accept()
		_ = stream.Send(request("1"))
		<-stream.Received
		time.Sleep(time.Hour + time.Second)
		if n := spaces.Load(); n != 60 {
			t.Errorf("%d spaces in an hour", n)
		}
		if f := r.all(); len(f) != 0 {
			t.Errorf("a server that is silent for an hour ended the stream: %+v", f)
		}
	})
}

type countSpaces struct {
	net.Conn
	n *atomic.Int32
}

func (c countSpaces) Write(p []byte) (int, error) {
	if string(p) == " " {
		c.n.Add(1)
	}
	return c.Conn.Write(p)
}

func TestAStreamThatTheServerClosesIsClosedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, xmpptest.Prosody)
		r := run(t, s, echo, Options{})
		stream := s.Accept()
		_ = stream.Send("</stream:stream>")
		if _, ok := <-stream.Received; ok || !errors.Is(stream.Err, io.EOF) {
			t.Errorf("the stream ended with %v", stream.Err)
		}
		if f := r.failure(0); f.Reason != Closed || !f.Online {
			t.Errorf("got %+v", f)
		}
		<-r.up
		<-r.up
	})
}
