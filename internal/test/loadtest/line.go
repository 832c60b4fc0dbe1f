package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"sync"
)

// line is one HTTP/2 connection to a server. It is opened when it is needed, and again when it is lost. A request waits if the server takes no
// more streams. It is safe for concurrent use.
type line struct {
	transport *http.Transport
	address   string

	mu   sync.Mutex // held while the connection is opened, so only one is opened
	conn *http.ClientConn
}

// newLine returns a line to an address whose certificate is for the name.
func newLine(address, name string, roots *x509.CertPool) *line {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	return &line{address: address, transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12},
		Protocols:       protocols, DisableCompression: true,
	}}
}

// RoundTrip sends a request to the address, whatever host it names.
func (l *line) RoundTrip(req *http.Request) (*http.Response, error) {
	conn, err := l.usable(req.Context())
	if err != nil {
		return nil, err
	}
	return conn.RoundTrip(req)
}

func (l *line) usable(ctx context.Context) (conn *http.ClientConn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil || l.conn.Err() != nil {
		if l.conn, err = l.transport.NewClientConn(ctx, "https", l.address); err != nil {
			l.conn = nil
		}
	}
	return l.conn, err
}

func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

var _ http.RoundTripper = (*line)(nil)
