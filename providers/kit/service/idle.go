package service

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"time"
)

const (
	// idleTimeout is how long an HTTP/2 connection is kept without a request: APNs closes its own after an hour, too. It is pinged
	// meanwhile, so one that died is noticed.
	idleTimeout = time.Hour
	// idleTimeoutHTTP1 is that of an HTTP/1.1 connection, which has no pings: it is as long as net/http's and kit/endpoint's.
	idleTimeoutHTTP1 = 90 * time.Second
)

// http2 is HTTP/2's name in a TLS handshake.
const http2 = "h2"

// dialFunc makes a connection, and returns which protocol was agreed upon; empty for HTTP/1.1 with a server that knows no other.
type dialFunc func(context.Context) (conn *http.ClientConn, protocol string, err error)

// dialer makes connections to an address. What a connection speaks, it does not say itself.
func dialer(transport *http.Transport, address string) dialFunc {
	return func(ctx context.Context) (conn *http.ClientConn, protocol string, err error) {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{TLSHandshakeDone: func(s tls.ConnectionState, _ error) {
			protocol = s.NegotiatedProtocol // with an https proxy, the server's comes last
		}})
		conn, err = transport.NewClientConn(ctx, "https", address)
		return conn, protocol, err
	}
}

// endIdle ends a connection that has had no request for a while. net/http does so for HTTP/2, and for HTTP/1.1 only in its own pool.
func (c *connections) endIdle(conn *connection) {
	c.mu.Lock()
	idle := conn.load == 0 // otherwise, the end of its request begins the time again
	conn.leaving = conn.leaving || idle
	c.mu.Unlock()
	if idle {
		c.advance()
	}
}
