// Package service makes the requests to a push service that the operator named: over few HTTP/2 connections of its own that outlive
// configurations, with every wait bounded by the request's context.
package service

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/network"
)

// pool keeps the connections across reloads.
var pool = caddy.NewUsagePool()

// Client is an [http.RoundTripper] to one server. It is safe for concurrent use.
type Client struct {
	connections *connections
	key         string
}

// Options say how the server is reached.
type Options struct {
	// Server is an https URL of which only scheme, host and port matter.
	Server *url.URL
	// Settings are those of the network options. Their endpoint takes the place of Server.
	Settings *network.Settings
	// Certificate is the client's, asked for at each new connection; nil for none.
	Certificate func() *tls.Certificate
	// Identity tells clients apart that may not share a connection, such as those with other certificates.
	Identity string
}

// NewClient takes hold of the connections, which it shares with every client of the same options. Close must be called once.
func NewClient(o Options) (*Client, error) {
	server := o.Server
	if o.Settings.Endpoint != nil {
		server = o.Settings.Endpoint
	}
	c := &Client{key: o.key(server)}
	pooled, _, err := pool.LoadOrNew(c.key, func() (caddy.Destructor, error) {
		transport := newTransport(o)
		address := net.JoinHostPort(server.Hostname(), portOf(server))
		return &pooledConnections{&connections{dial: func(ctx context.Context) (*http.ClientConn, error) {
			return transport.NewClientConn(ctx, "https", address)
		}}}, nil
	})
	if err != nil {
		return nil, err
	}
	c.connections = pooled.(*pooledConnections).connections
	return c, nil
}

func (o *Options) key(server *url.URL) string {
	return strings.Join([]string{server.Host, o.Settings.Identity(), o.Identity}, " ")
}

func newTransport(o Options) *http.Transport {
	config := o.Settings.TLS()
	if o.Certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Certificate(), nil }
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		Proxy:                  func(r *http.Request) (*url.URL, error) { return o.Settings.Proxy(r.URL) },
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    dialTimeout,
		IdleConnTimeout:        time.Hour, // when APNs closes them, too
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true,
		Protocols:              protocols,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:  15 * time.Second, // finds a connection that died without a word
			PingTimeout:      5 * time.Second,
			WriteByteTimeout: 10 * time.Second,
		},
	}
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return "443"
}

// pooledConnections are connections as Caddy's pool wants them.
type pooledConnections struct{ *connections }

// Destruct is called when no configuration uses the connections any more.
func (p *pooledConnections) Destruct() error {
	p.retire()
	return nil
}

// Renew makes new connections for all requests to come, for which the client's certificate is asked anew.
func (c *Client) Renew() { c.connections.renew() }

// Connect makes sure that there is a connection, so that the next request need not wait for one. It sends nothing: whether the server
// takes what the client comes with, the first request finds out.
func (c *Client) Connect(ctx context.Context) error { return c.connections.ensure(ctx) }

// Close lets go of the connections. A nil Client has none.
func (c *Client) Close() error {
	if c == nil {
		return nil
	}
	_, err := pool.Delete(c.key)
	return err
}

// maxReplays bounds how often a request is sent again that the server did not look at.
const maxReplays = 5

// RoundTrip sends the request, whatever host it names, to the server. A request that the server certainly did not process is sent
// again, as HTTP/2 allows (RFC 9113 section 8.7): one caught by the end of a connection, or refused for its limit.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	for replays := 0; ; replays++ {
		conn, err := c.connections.acquire(req.Context())
		if err != nil {
			return nil, err
		}
		resp, err := conn.RoundTrip(req)
		if err == nil {
			c.connections.prove(conn)
			resp.Body = &body{ReadCloser: resp.Body, done: sync.OnceFunc(func() { c.connections.release(conn) })}
			return resp, nil
		}
		again := unprocessed(err)
		if again == onAnotherConnection {
			c.connections.abandon(conn)
		}
		c.connections.release(conn)
		if again == no || replays == maxReplays {
			return nil, err
		}
		if req, err = rewound(req); err != nil {
			return nil, err
		}
	}
}

// rewound is the request with its body from the beginning.
func rewound(req *http.Request) (*http.Request, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	if req.GetBody == nil {
		return nil, errors.New("the request cannot be sent again")
	}
	fresh, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	again := *req
	again.Body = fresh
	return &again, nil
}

// body gives the request's slot back when it is closed.
type body struct {
	io.ReadCloser
	done func()
}

// Close closes the body.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.done()
	return err
}
