// Package service is for providers of a push service with one server. The provider's code names the server, or the operator does with
// the option endpoint. The client keeps its few connections across reloads. It never waits longer than a request's context allows.
//
// A provider embeds the Options of kit/network in its module, makes a [Client] with [ForHost] in Provision, calls [Client.Post] in
// Push, and [Client.Close] in Cleanup. It sends a request that isn't a plain POST with [Client.RoundTrip]. All requests go to the
// server. For URLs that users choose, use kit/endpoint, which has a guard.
//
// The client speaks HTTP/2, with many requests on a connection, or HTTP/1.1, with one at a time; the server chooses. Many first requests
// share one connection. Another one is made only if all requests that the server allows on the open ones are taken: at most 8. If all
// are busy, a request waits its turn until its context is done. A connection without requests is closed after a minute. The last one with
// HTTP/2 is kept for an hour.
//
// As long as the gateway's version is v0, the API may change between minor versions. The changelog describes each change.
package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/batched"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// pool keeps the connections across reloads.
var pool = caddy.NewUsagePool()

// Client is an [http.RoundTripper] to one server. It follows no redirect, and is safe for concurrent use.
type Client struct {
	connections *connections
	key         string
	host        string // and port, as requests must name it
}

// Options describe the server and how to reach it.
type Options struct {
	// Server is an https URL. Only its host and port matter.
	Server *url.URL
	// Settings are the resolved network options. If they have an endpoint, it replaces Server.
	Settings *network.Settings
	// Certificate returns the client's certificate; nil for none. It is called for each new connection, and requires an Identity.
	Certificate func() *tls.Certificate
	// Identity differs for clients that must not share connections, such as those with different certificates. It is kept in memory only.
	Identity string
	// HTTP2Only makes it an error if the server does not speak HTTP/2. By default, HTTP/1.1 is accepted as well.
	HTTP2Only bool
}

// server returns the server to send to, or an error if the options are wrong.
func (o *Options) server() (*url.URL, error) {
	if o.Settings == nil || o.Settings.Proxy == nil {
		return nil, errors.New("the client has no settings: get them from Resolve of the network options")
	}
	server := o.Server
	if o.Settings.Endpoint != nil {
		server = o.Settings.Endpoint
	}
	switch {
	case server == nil || server.Scheme != "https" || server.Hostname() == "" || server.User != nil:
		return nil, errors.New("the server must be an https URL with a host and without user information")
	case o.Certificate != nil && o.Identity == "":
		return nil, errors.New("the client has a certificate but no identity: set one, or clients with others would share its connections")
	}
	return server, nil
}

// ForHost makes a client for a host, or a host and port, with a provider's network options. Most providers need nothing else of
// [NewClient]. Call it in Provision. For hosts that users choose, use kit/endpoint. An error names the option that is wrong. Close must
// be called once.
func ForHost(host string, o *network.Options) (*Client, error) {
	settings, err := o.Resolve()
	if err != nil {
		return nil, err
	}
	return NewClient(Options{Server: &url.URL{Scheme: "https", Host: host}, Settings: settings})
}

// NewClient makes a client. It shares its connections with every client that has the same options. Close must be called once.
func NewClient(o Options) (*Client, error) {
	server, err := o.server()
	if err != nil {
		return nil, err
	}
	c := &Client{key: o.key(server), host: server.Host}
	pooled, _, err := pool.LoadOrNew(c.key, func() (caddy.Destructor, error) {
		address := net.JoinHostPort(server.Hostname(), portOf(server))
		return &pooledConnections{&connections{dial: dialer(newTransport(o), address)}}, nil
	})
	if err != nil {
		return nil, err
	}
	c.connections = pooled.(*pooledConnections).connections
	return c, nil
}

func (o *Options) key(server *url.URL) string {
	return strings.Join([]string{server.Host, strconv.FormatBool(o.HTTP2Only), o.Settings.Identity(), o.Identity}, " ")
}

func newTransport(o Options) *http.Transport {
	config := o.Settings.TLS()
	if o.Certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificateOf(o.Certificate) }
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetHTTP1(!o.HTTP2Only)
	return &http.Transport{
		DialContext:            batched.Dial((&net.Dialer{Timeout: dialTimeout}).DialContext),
		Proxy:                  func(r *http.Request) (*url.URL, error) { return o.Settings.Proxy(r.URL) },
		OnProxyConnectResponse: network.ProxyAnswered,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    dialTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true,
		Protocols:              protocols,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 15 * time.Second, // detects a connection that died silently
			PingTimeout:     5 * time.Second,
		},
	}
}

// certificateOf calls a provider's function for its certificate. The handshake runs in a goroutine of net/http, where a panic or a
// missing certificate would end Caddy.
func certificateOf(ask func() *tls.Certificate) (c *tls.Certificate, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the client's certificate: the provider panicked with a %T", v)
		}
	}()
	if c = ask(); c == nil {
		return nil, errors.New("the client's certificate: the provider returned none")
	}
	return c, nil
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return "443"
}

// pooledConnections adapts connections to Caddy's pool.
type pooledConnections struct{ *connections }

// Destruct is called when no configuration uses the connections any more.
func (p *pooledConnections) Destruct() error {
	p.retire()
	return nil
}

// URL returns the URL of a path on the server, for [Client.RoundTrip]. If a pushkey is part of the path, check or escape it first.
// Otherwise, it could lead to another path: see [url.PathEscape].
func (c *Client) URL(path string) *url.URL {
	return &url.URL{Scheme: "https", Host: c.host, Path: path}
}

// Renew makes all later requests use new connections, which ask for the client's certificate again.
func (c *Client) Renew() { c.connections.renew() }

// Connect makes a connection if there is none, so the next request does not wait for one. It sends no request, so it does not show
// whether the server accepts the client's credentials.
func (c *Client) Connect(ctx context.Context) error { return c.connections.ensure(ctx) }

// Concurrency returns how many requests the server takes at the same time, on all connections that the client may have; 0 if that is not
// known yet. It is about right, changes while requests run, and never waits. A provider's Concurrency may return it.
func (c *Client) Concurrency() int {
	if c == nil {
		return 0
	}
	return maxConnections * int(c.connections.granted.Load())
}

// Close releases the connections. It does nothing for a nil Client.
func (c *Client) Close() error {
	if c == nil {
		return nil
	}
	_, err := pool.Delete(c.key)
	return err
}

// maxReplays limits how often a request is sent again if the server did not process it.
const maxReplays = 5

// RoundTrip sends the request to the server. If its URL names another server, the request is not sent, and the error is
// [network.ErrOtherServer]. If the server certainly did not process the request, RoundTrip sends it again, as HTTP/2 allows (RFC 9113
// section 8.7). For example, the connection ended first, or had reached its limit of requests.
//
// If the answer comes after the request's context is done, RoundTrip returns the context's error. The answer's body must be closed, which
// makes room for the next request. Closing it reads the rest of the answer, up to 16 KiB and as long as the request's context allows.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	if req == nil || req.URL == nil || req.URL.Scheme != "https" || req.URL.Host != c.host {
		if req != nil && req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, network.ErrOtherServer
	}
	for replays := 0; ; replays++ {
		conn, err := c.connections.acquire(req.Context())
		if err != nil {
			return nil, err
		}
		resp, err := conn.RoundTrip(req)
		if err == nil {
			c.connections.confirm(conn)
			resp.Body = c.body(resp, conn)
			if ctx := req.Context(); ctx.Err() != nil {
				// net/http may still read what comes while it closes the connection of HTTP/1.1. That can be a 200 that nobody meant: a
				// server written in Go sends it by itself when a handler returns because its client has gone.
				_ = resp.Body.Close()
				return nil, context.Cause(ctx)
			}
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

// rewound returns the request with its body rewound to the beginning.
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

// body releases the request's slot when it is closed.
type body struct {
	io.ReadCloser
	connections *connections
	conn        *connection
	whole       atomic.Bool // the rest of the answer does not block the next request
	closed      atomic.Bool
}

// body returns an answer's body. If an HTTP/1.1 answer was not read to its end, net/http closes the connection a little later. No other
// request may get the connection in the meantime.
func (c *Client) body(resp *http.Response, conn *connection) *body {
	b := &body{ReadCloser: resp.Body, connections: c.connections, conn: conn}
	b.whole.Store(resp.ProtoMajor > 1 || resp.Body == http.NoBody)
	return b
}

// Read reads of the body.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.whole.Store(true)
	}
	return n, err
}

// maxRest is how much of an answer is read when its body is closed.
const maxRest = 16 << 10

// Close reads the rest of the body, and closes it. Otherwise, net/http would close a connection of HTTP/1.1, and reset a stream of HTTP/2.
// A reset is another message for each push, and servers take many resets for an attack (CVE-2023-44487).
func (b *body) Close() error {
	_, _ = io.CopyN(io.Discard, b, maxRest)
	err := b.ReadCloser.Close()
	if b.closed.Swap(true) {
		return err
	}
	if !b.whole.Load() {
		b.connections.abandon(b.conn)
	}
	b.connections.release(b.conn)
	return err
}
