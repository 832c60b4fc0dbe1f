package service

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/sockstest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

func connect(t *testing.T, c *Client) {
	t.Helper()
	if err := c.Connect(t.Context()); err != nil {
		t.Error(err)
	}
}

func (s *server) want(t *testing.T, connections int64) {
	t.Helper()
	if n := s.connections.Load(); n != connections {
		t.Errorf("%d connections were made, want %d", n, connections)
	}
}

// silentServer fails the test for each request that arrives before speak is called.
func silentServer(t *testing.T) (s *server, speak func()) {
	t.Helper()
	var expected atomic.Bool
	return newServer(t, 100, func(http.ResponseWriter, *http.Request) {
		if !expected.Load() {
			t.Error("there was a request")
		}
	}), func() { expected.Store(true) }
}

func TestManyWhoWantAConnectionGetOneAndSendNothing(t *testing.T) {
	t.Parallel()
	s, speak := silentServer(t)
	c := newClient(t, s.URL, s.ca.File)
	var group sync.WaitGroup
	for range 1000 {
		group.Go(func() { connect(t, c) })
	}
	group.Wait()
	s.want(t, 1)
	speak()
	wantOK(t, c)
	s.want(t, 1)
}

func TestNoConnectionIsMadeAheadWhereThereIsOne(t *testing.T) {
	t.Parallel()
	s := newServer(t, 100, ok)
	first := openClient(t, s.URL, s.ca.File)
	wantOK(t, first)
	connect(t, first)
	second := newClient(t, s.URL, s.ca.File) // as after a reload
	connect(t, second)
	closeClient(t, first)
	connect(t, second)
	s.want(t, 1)
	second.Renew()
	connect(t, second)
	s.want(t, 2)
	wantOK(t, second)
	s.want(t, 2)
}

// A new connection has one slot. Guards against a Connect that takes it, even briefly, and sends nothing.
func TestAConnectionMadeAheadCostsARequestNoSlot(t *testing.T) {
	t.Parallel()
	arrived, let := make(chan struct{}), make(chan struct{})
	s := newServer(t, 100, func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-let
	})
	c := newClient(t, s.URL, s.ca.File)
	var group sync.WaitGroup
	group.Go(func() { wantOK(t, c) })
	for range 100 {
		group.Go(func() { connect(t, c) })
	}
	<-arrived
	connect(t, c) // the only slot is taken, and no request waits for another
	s.want(t, 1)
	close(let)
	group.Wait()
	s.want(t, 1)
}

// net/http lets a connection that ended unused take a request, to report why it ended. That may be hours later, and would delay a push.
func TestAConnectionMadeAheadThatEndedUnusedIsNotNoticed(t *testing.T) {
	t.Parallel()
	s := newServer(t, 100, ok)
	c := newClient(t, s.URL, s.ca.File)
	connect(t, c)
	endConnection(s, c)
	wantOK(t, c)
	s.want(t, 2)
}

// endConnection has the server close the client's one connection, and returns when the client has noticed.
func endConnection(s *server, c *Client) {
	ended := make(chan struct{})
	c.connections.mu.Lock()
	conn := c.connections.open[0]
	c.connections.mu.Unlock()
	conn.SetStateHook(func(conn *http.ClientConn) {
		if conn.Err() != nil {
			close(ended)
		}
	})
	s.CloseClientConnections()
	<-ended
}

func TestWhoWaitsForAConnectionWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	stalled, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stalled.Close() })
	c := newClient(t, "https://"+stalled.Addr().String(), "")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- c.Connect(ctx) }()
	conn, err := stalled.Accept() // it never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := c.Connect(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("at once: got %v", err)
	}
}

// relay is a proxy that connects every host to one address, and fails when it is first used.
func relay(t *testing.T, target string, asked *atomic.Int64) *httptest.Server {
	t.Helper()
	var conns sync.WaitGroup
	conns.Add(1) // until Cleanup, so Wait never runs beside the group's first Add
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "push.example:443" {
			t.Errorf("the proxy was asked for %s %s", r.Method, r.Host)
		}
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		server, err := new(net.Dialer).DialContext(t.Context(), "tcp", target)
		if err != nil {
			t.Error(err)
			return
		}
		w.WriteHeader(http.StatusOK)
		client, begun, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		pass := func(to net.Conn, from io.Reader) {
			_, _ = io.Copy(to, from)
			_ = to.Close()
		}
		conns.Go(func() { pass(server, begun) }) // part of what the client sent was already read
		conns.Go(func() { pass(client, server) })
	}))
	t.Cleanup(func() {
		proxy.Close()
		conns.Done()
		conns.Wait()
	})
	return proxy
}

func TestAConnectionIsMadeAheadThroughTheProxyAndTriedAgainIfThatFailed(t *testing.T) {
	t.Parallel()
	s := newServer(t, 100, ok)
	var asked atomic.Int64
	proxy := relay(t, s.Listener.Addr().String(), &asked)
	settings, err := (&network.Options{TrustedCA: s.ca.File, Proxy: proxy.URL}).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(Options{Server: &url.URL{Scheme: "https", Host: "push.example"}, Settings: settings, Identity: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeClient(t, c) })
	if err := c.Connect(t.Context()); err == nil {
		t.Error("there is a connection through a proxy that does not work")
	}
	connect(t, c)
	wantOK(t, c)
	if n := asked.Load(); n != 2 {
		t.Errorf("the proxy was asked %d times", n)
	}
	s.want(t, 1)
}

// Guards against the report git-lfs#3677, where socks5h was refused.
func TestASOCKSProxyIsConnectedThroughAndResolvesTheName(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"socks5", "socks5h"} {
		s := newServer(t, 100, ok)
		proxy := sockstest.New(t, s.Listener.Addr().String())
		settings, err := (&network.Options{TrustedCA: s.ca.File, Proxy: scheme + "://user:pass@" + proxy.Addr().String()}).Resolve()
		if err != nil {
			t.Fatal(err)
		}
		c, err := NewClient(Options{Server: &url.URL{Scheme: "https", Host: "push.example"}, Settings: settings, Identity: t.Name() + scheme})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeClient(t, c) })
		wantOK(t, c)
		if asked := strings.Join(proxy.Asked(), ", "); asked != "user:pass name push.example:443" {
			t.Errorf("%s: the proxy was asked for %s", scheme, asked)
		}
	}
}

func TestAProxyThatDoesNotWorkIsNotTheServicesFault(t *testing.T) {
	t.Parallel()
	for proxy, want := range map[string]bool{"http://127.0.0.1:1": true, "none": false} {
		c, err := ForHost("127.0.0.1:1", &network.Options{Proxy: proxy})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if o := network.Failed(c.Connect(t.Context())); o.Kind != providers.KindRetry || o.Proxy != want {
			t.Errorf("%s: the outcome is %+v", proxy, o)
		}
	}
}

// A server may say goodbye on a connection that was made ahead, and leave it open. net/http does not report that. Nobody waits for an answer
// on such a connection, because nobody can send a request on it.
func TestAConnectionMadeAheadWhoseServerSaidGoodbyeHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := newServer(t, 100, ok)
	c := newClient(t, s.URL, s.ca.File)
	config := &tls.Config{Certificates: s.TLS.Certificates, NextProtos: []string{http2}}
	leaving, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = leaving.Close() })
	go sayGoodbye(leaving)
	settings, err := (&network.Options{TrustedCA: s.ca.File, Proxy: "none"}).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	first, others := dialer(newTransport(Options{Settings: settings}), leaving.Addr().String()), c.connections.dial
	var dials atomic.Int64
	c.connections.dial = func(ctx context.Context) (*http.ClientConn, string, error) {
		if dials.Add(1) == 1 {
			return first(ctx)
		}
		return others(ctx)
	}
	connect(t, c)
	c.connections.mu.Lock()
	conn := c.connections.open[0]
	c.connections.mu.Unlock()
	for conn.Available() > 0 && t.Context().Err() == nil {
		runtime.Gosched()
	}
	if err := conn.Err(); err != nil {
		t.Fatalf("the connection has ended: %v", err)
	}
	burst(t, c, 10)
	s.want(t, 1)
}

// sayGoodbye accepts a connection, sends SETTINGS and GOAWAY (RFC 9113 section 6), and leaves it open until the client closes it.
func sayGoodbye(l net.Listener) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	_, _ = io.Copy(io.Discard, conn)
}

// The handshake may have shown the old certificate.
func TestAConnectionThatIsBeingMadeWhenTheCertificateIsRenewedIsNotUsed(t *testing.T) {
	t.Parallel()
	s := newServer(t, 100, ok)
	c := newClient(t, s.URL, s.ca.File)
	dial, made, renewed := c.connections.dial, make(chan struct{}), make(chan struct{})
	var dials atomic.Int64
	c.connections.dial = func(ctx context.Context) (*http.ClientConn, string, error) {
		conn, protocol, err := dial(ctx)
		if dials.Add(1) == 1 {
			close(made)
			<-renewed
		}
		return conn, protocol, err
	}
	var request sync.WaitGroup
	request.Go(func() { wantOK(t, c) })
	<-made
	c.Renew()
	close(renewed)
	request.Wait()
	s.want(t, 2)
}
