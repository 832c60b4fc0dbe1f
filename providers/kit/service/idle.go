package service

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"time"
)

const (
	// idleTimeout is how long an HTTP/2 connection is kept without a request. APNs also closes its own after an hour. The connection is
	// pinged in the meantime, so a dead one is detected.
	idleTimeout = time.Hour
	// idleTimeoutHTTP1 is the same for an HTTP/1.1 connection, which has no pings. It equals the timeouts of net/http and kit/endpoint.
	idleTimeoutHTTP1 = 90 * time.Second
)

// http2 is HTTP/2's name in a TLS handshake.
const http2 = "h2"

// dialFunc makes a connection, and returns the negotiated protocol. The protocol is empty for HTTP/1.1 with a server that knows nothing
// else.
type dialFunc func(context.Context) (conn *http.ClientConn, protocol string, err error)

// dialer returns a function that makes connections to an address. It takes the protocol from a trace of the handshake, because a
// connection does not report it.
func dialer(transport *http.Transport, address string) dialFunc {
	return func(ctx context.Context) (conn *http.ClientConn, protocol string, err error) {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{TLSHandshakeDone: func(s tls.ConnectionState, _ error) {
			protocol = s.NegotiatedProtocol // with an https proxy, the server's comes last
		}})
		conn, err = transport.NewClientConn(ctx, "https", address)
		return conn, protocol, err
	}
}

// endIdle closes a connection that has had no request for a while. net/http does so for HTTP/2, and for HTTP/1.1, only in its own pool.
func (c *connections) endIdle(conn *connection) {
	c.mu.Lock()
	idle := conn.load == 0 // otherwise, the timer is reset when its request ends
	conn.leaving = conn.leaving || idle
	c.mu.Unlock()
	if idle {
		c.advance()
	}
}
