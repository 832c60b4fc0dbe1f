package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// client returns a client that connects to the process, whatever the URL's host is, and trusts it. It speaks HTTP/2 or, like most
// homeservers, HTTP/1.1.
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
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // the test is not about the certificate
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

// forget closes the idle connections. A reload closes them too, but at an unknown time. A request that is being sent then is lost, even
// with plain Caddy.
func (ts *transports) forget() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.all {
		t.CloseIdleConnections()
	}
}

// settle waits until only one configuration listens. After a reload, the servers of the one before may go on for a moment: they accept a
// connection, but net/http closes it when the request comes, without an answer. This is known on Linux only.
func (p *process) settle() {
	p.t.Helper()
	for deadline := time.Now().Add(patience); p.listensTwice(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("two configurations listen on port %d or %d", p.port, p.port2)
		}
	}
}

// listensTwice reports whether two sockets listen at one address of the process.
func (p *process) listensTwice() bool {
	seen := make(map[string]bool)
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		content, _ := os.ReadFile(table)
		for line := range strings.Lines(string(content)) {
			const listening = "0A"
			fields := strings.Fields(line) // the second is the local address, and the fourth the state
			if len(fields) < 4 || fields[3] != listening {
				continue
			}
			address := fields[1]
			_, hex, _ := strings.Cut(address, ":")
			if port, err := strconv.ParseInt(hex, 16, 32); err != nil || int(port) != p.port && int(port) != p.port2 {
				continue
			}
			if seen[address] {
				return true
			}
			seen[address] = true
		}
	}
	return false
}

// errNotConnected means that a request was never sent, because there was no connection. When Caddy replaces a listener, the kernel resets
// connections that are not accepted yet.
var errNotConnected = errors.New("not connected")

// send makes a request. Its error distinguishes a request that failed from one that was never sent.
func send(client *http.Client, req *http.Request) (*http.Response, error) {
	// If the server gives up a connection without processing a request, net/http sends it again on a new connection, which may fail. Only
	// the last connection counts.
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
