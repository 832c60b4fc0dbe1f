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
	// spareTimeout is how long a connection is kept without a request if it is not the last one. An HTTP/1.1 connection has no pings, so
	// the last one is not kept longer either.
	spareTimeout = time.Minute
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

// endIdle closes a connection that had no request for spareTimeout. Requests take the first connection with a free slot, so the requests
// of that time did not need it. The last connection of HTTP/2 stays, and net/http closes it after idleTimeout.
func (c *connections) endIdle(conn *connection) {
	c.mu.Lock()
	over := conn.load == 0 && (conn.http1 || c.usable() > 1) // with a load, the timer is reset when the last request ends
	conn.leaving = conn.leaving || over
	c.mu.Unlock()
	if over {
		c.advance()
	}
}
