package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddypki"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/batched"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/roots"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// pool keeps the transports, and so the connections to push servers, across reloads.
var pool = caddy.NewUsagePool()

// transports are the three ways to a push server. They never share a connection: one that was made under laxer rules must not serve a
// request under stricter ones.
type transports struct {
	guarded *http.Transport // to an endpoint that a user chose
	open    *http.Transport // to the operator's proxy or relay
	own     *http.Transport // to the operator's own push server on this Caddy

	ownRoots atomic.Pointer[x509.CertPool]
}

func newTransports(s *settings, g *guard) *transports {
	t := &transports{
		guarded: newTransport(g.dialing(g.dialer()), s.Roots),
		open:    newTransport(dialOpen, s.Roots),
		own:     newTransport(dialOpen, s.Roots),
	}
	t.open.Proxy = func(r *http.Request) (*url.URL, error) { return s.Proxy(r.URL) }
	t.open.OnProxyConnectResponse = network.ProxyAnswered
	t.own.DialTLSContext = t.dialOwn
	return t
}

// handshakeTimeout is how long a TLS handshake may take.
const handshakeTimeout = 5 * time.Second

// newTransport limits everything that a hostile server could stretch. The number of requests is limited earlier, by host, and that of
// connections by the guard, by address. The connections of dial are batched, which limits the time for writing.
func newTransport(dial batched.DialFunc, roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    handshakeTimeout,
		ResponseHeaderTimeout:  20 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    hostRunning, // otherwise, a server without HTTP/2 would always get new connections
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 15 * time.Second, // detects a connection that died silently
			PingTimeout:     10 * time.Second,
		},
	}
}

// dialOwn also trusts Caddy's own certificate authorities for the operator's own push server. With `tls internal`, no other client
// could verify it.
func (t *transports) dialOwn(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	conn, err := t.own.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	roots := t.ownRoots.Load()
	if roots == nil {
		roots = t.own.TLSClientConfig.RootCAs
	}
	client := tls.Client(conn, &tls.Config{
		RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	})
	ctx, cancel := context.WithTimeout(ctx, t.own.TLSHandshakeTimeout)
	defer cancel()
	if err := client.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return client, nil
}

// trustInternal adds the roots of Caddy's own certificate authorities, if the configuration uses any.
func (t *transports) trustInternal(ctx caddy.Context) {
	app, err := ctx.AppIfConfigured("pki")
	if err != nil {
		return
	}
	pki, ok := app.(*caddypki.PKI)
	if !ok {
		return
	}
	trusted := roots.System()
	if set := t.own.TLSClientConfig.RootCAs; set != nil {
		trusted = set.Clone()
	}
	for _, ca := range pki.CAs {
		if root := ca.RootCertificate(); root != nil {
			trusted.AddCert(root)
		}
	}
	t.ownRoots.Store(trusted)
}

// Destruct is called when no configuration uses the transports any more. Requests in flight continue.
func (t *transports) Destruct() error {
	t.guarded.CloseIdleConnections()
	t.open.CloseIdleConnections()
	t.own.CloseIdleConnections()
	return nil
}
