package xmpptest

import (
	"net"
	"testing"
)

// Listen accepts components at a port of the loopback interface until the test ends. It returns the address.
func (s *Server) Listen(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it ends with the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if !s.admits() {
				_ = conn.Close()
				continue
			}
			s.serving.Go(func() { s.serve(conn) })
		}
	})
	return listener.Addr().String()
}

// admits counts a connection, and reports whether the server accepts it.
func (s *Server) admits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials++
	return !s.down
}

// Occupy makes the server behave as if another program was connected as the component.
func (s *Server) Occupy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.online++
}
