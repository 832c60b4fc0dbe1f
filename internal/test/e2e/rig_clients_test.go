package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// client connects to the process whatever the URL's host is, and trusts it. It speaks HTTP/2 or, as most homeservers, HTTP/1.1.
func (p *process) client(http2 bool) *http.Client {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	transport := &http.Transport{
		DialContext:         dial,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // the certificate is not what is tested
		MaxIdleConnsPerHost: 128,
		ForceAttemptHTTP2:   http2,
	}
	p.t.Cleanup(transport.CloseIdleConnections)
	p.clients.add(transport)
	return &http.Client{Transport: noting{transport}, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// transports are those of a process's clients.
type transports struct {
	mu  sync.Mutex
	all []*http.Transport
}

func (ts *transports) add(t *http.Transport) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.all = append(ts.all, t)
}

// forget closes the idle connections. A reload closes them, too, but at a time of its own: a request that is just on its way is lost, with
// plain Caddy as well.
func (ts *transports) forget() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.all {
		t.CloseIdleConnections()
	}
}

// errNotConnected says that a request was never sent, as no connection could be made: the kernel resets connections that wait to be
// accepted when Caddy replaces a listener.
var errNotConnected = errors.New("not connected")

// send makes a request, and tells a request that failed from one that was never sent.
func send(client *http.Client, req *http.Request) (*http.Response, error) {
	// A request that the server did not process on a connection that it gave up is sent again by net/http, on one that may not come about:
	// only the last connection counts.
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil && !connected.Load() {
		return nil, fmt.Errorf("%w: %w", errNotConnected, err)
	}
	return resp, err
}
