package e2e

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// accept serves the connections to an address, one after the other, until the test ends.
func accept(t *testing.T, address string, serve func(net.Conn)) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return l.Addr().(*net.TCPAddr)
}

// sentinel counts the connections to a port of every address that this machine has.
type sentinel struct {
	port  string
	count atomic.Int64
}

func newSentinel(t *testing.T, address string) *sentinel {
	t.Helper()
	s := new(sentinel)
	s.port = strconv.Itoa(accept(t, address, func(conn net.Conn) {
		s.count.Add(1)
		_ = conn.Close()
	}).Port)
	return s
}

// wantNoContact connects once itself, so all earlier connections are counted by then.
func (s *sentinel) wantNoContact(t *testing.T, host string) {
	t.Helper()
	before := s.count.Load()
	conn, err := net.Dial("tcp", net.JoinHostPort(host, s.port))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Read(make([]byte, 1)) // returns when the connection is closed, so it has been counted
	_ = conn.Close()
	if n := s.count.Load(); n != 1 || before != 0 {
		t.Errorf("%d connections were made", n-1)
	}
}

// crowd is a push server that answers no request until it is opened, and counts the requests.
type crowd struct {
	mu                 sync.Mutex
	now, most, arrived int
	changed            chan struct{}
	open               chan struct{}
}

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.count(1)
	defer c.count(-1)
	select {
	case <-c.open:
		w.WriteHeader(http.StatusCreated)
	case <-r.Context().Done():
	}
}

func (c *crowd) count(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += by
	c.most = max(c.most, c.now)
	if by > 0 {
		c.arrived++
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// until waits until a number of requests arrived, and returns how many were there at most.
func (c *crowd) until(t *testing.T, arrived int) (most int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		c.mu.Lock()
		there, most, changed := c.arrived, c.most, c.changed
		c.mu.Unlock()
		if there >= arrived {
			return most
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d requests arrived, want %d", there, arrived)
		}
	}
}

// hangsUp returns the address of a server that closes connections without an answer.
func hangsUp(t *testing.T) string {
	return accept(t, "127.0.0.1:0", func(conn net.Conn) { _ = conn.Close() }).String()
}

// connectProxy is an HTTP proxy that refuses all requests, and remembers their hosts.
type connectProxy struct {
	address string
	mu      sync.Mutex
	hosts   []string
}

func newConnectProxy(t *testing.T) *connectProxy {
	t.Helper()
	p := new(connectProxy)
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	p.address = accept(t, "127.0.0.1:0", func(conn net.Conn) { running.Go(func() { p.refuse(conn) }) }).String()
	return p
}

func (p *connectProxy) refuse(conn net.Conn) {
	defer conn.Close()
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	p.mu.Lock()
	p.hosts = append(p.hosts, r.Host)
	p.mu.Unlock()
	_, _ = conn.Write([]byte("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
}

// last returns the host of the last request.
func (p *connectProxy) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.hosts) == 0 {
		return ""
	}
	return p.hosts[len(p.hosts)-1]
}

// hanging is a push server that takes connections and answers nothing.
type hanging struct {
	*crowd
	name, ca, port string
}

// newSilentServer returns a server that reads requests and answers none.
func newSilentServer(t *testing.T, hosts ...string) hanging {
	t.Helper()
	c := &crowd{changed: make(chan struct{}), open: make(chan struct{})}
	server := providertest.NewTLSServer(t, received(c), hosts...)
	t.Cleanup(func() { close(c.open) }) // runs before the server closes, which waits for the requests
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return hanging{c, "reads and is silent", server.CAFile, port}
}

// newDeafServer returns a server that accepts connections, but does not even answer the TLS handshake.
func newDeafServer(t *testing.T, address string) hanging {
	t.Helper()
	c := &crowd{changed: make(chan struct{})}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	at := accept(t, address, func(conn net.Conn) {
		c.count(1)
		running.Go(func() {
			_, _ = io.Copy(io.Discard, conn) // until the other side gives up
			c.count(-1)
			_ = conn.Close()
		})
	})
	return hanging{c, "is deaf", providertest.NewCA(t).File, strconv.Itoa(at.Port)}
}

// hung returns how many pushes hang at the server.
func (h hanging) hung() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}
