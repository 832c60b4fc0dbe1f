package e2e

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// sentinel counts the connections to a port of every address that this machine has.
type sentinel struct {
	port  string
	count atomic.Int64
}

func newSentinel(t *testing.T, address string) *sentinel {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := new(sentinel)
	_, s.port, _ = net.SplitHostPort(l.Addr().String())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.count.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return s
}

// wantNoContact connects once itself, so that whoever came before was counted.
func (s *sentinel) wantNoContact(t *testing.T, host string) {
	t.Helper()
	before := s.count.Load()
	conn, err := net.Dial("tcp", net.JoinHostPort(host, s.port))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Read(make([]byte, 1)) // until it is closed, that is, counted
	_ = conn.Close()
	if n := s.count.Load(); n != 1 || before != 0 {
		t.Errorf("%d connections were made", n-1)
	}
}

// crowd is a push server that lets nobody go until it is opened, and counts who is there.
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

// until waits until so many came, and returns how many were there at most.
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

// hangsUp is the address of a server that says nothing.
func hangsUp(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// connectProxy is an HTTP proxy that lets nobody through, and remembers who was asked for.
type connectProxy struct {
	address string
	mu      sync.Mutex
	hosts   []string
}

func newConnectProxy(t *testing.T) *connectProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &connectProxy{address: l.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.refuse(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
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

// last is the host that was asked for last.
func (p *connectProxy) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.hosts) == 0 {
		return ""
	}
	return p.hosts[len(p.hosts)-1]
}

// deaf is a server that accepts connections, and does not even shake hands.
func deaf(t *testing.T) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}
