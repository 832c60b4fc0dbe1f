// Package pipetest is a TLS server without a network, for tests in a bubble of testing/synctest.
package pipetest

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// Server is a server of HTTP/2, or of HTTP/1.1 only.
type Server struct {
	// Roots are the certificates that issued the server's, which is for example.com.
	Roots *x509.CertPool
	// Made and Open count its connections.
	Made, Open atomic.Int64

	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// New starts a server, which stops at the end of the test.
func New(t *testing.T, http2 bool, handler http.HandlerFunc, change ...func(*http.Server)) *Server {
	t.Helper()
	s := &Server{incoming: make(chan net.Conn), closed: make(chan struct{})}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener, server.EnableHTTP2 = s, http2
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.Made.Add(1)
			s.Open.Add(1)
		case http.StateClosed:
			s.Open.Add(-1)
		default:
		}
	}
	for _, f := range change {
		f(server.Config)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	s.Roots = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return s
}

// Dial connects to the server, whatever the address is.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case s.incoming <- server:
		return client, nil
	case <-s.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept is for the server itself.
func (s *Server) Accept() (net.Conn, error) {
	select {
	case conn := <-s.incoming:
		return conn, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close is for the server itself.
func (s *Server) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr is for the server itself.
func (s *Server) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }
