package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	notifyPath = "/_matrix/push/v1/notify"
	// answerTimeout is how long a homeserver waits for an answer.
	answerTimeout = 30 * time.Second
)

// connection is a homeserver's connection. It carries one notification after another, or several at a time with HTTP/2. It is opened when it
// is needed, and again when it is lost.
type connection interface {
	// post returns the status of the answer.
	post(ctx context.Context, body []byte) (int, error)
	close()
}

// dialer makes connections to the server under test.
type dialer struct {
	// url is where the server takes notifications, and address is where it listens.
	url     *url.URL
	address string
	roots   *x509.CertPool
}

// connect makes the homeservers' connections.
func (d *dialer) connect(n int, overHTTP2 bool) []connection {
	connections := make([]connection, n)
	for i := range connections {
		if overHTTP2 {
			connections[i] = &multiplexed{newLine(d.address, d.url.Hostname(), d.roots), d.url.String()}
		} else {
			connections[i] = &keepAlive{dialer: d, head: fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Synapse/1.130.0\r\n"+
				"Accept: */*\r\nContent-Type: application/json\r\nContent-Length: ", d.url.RequestURI(), d.url.Host)}
		}
	}
	return connections
}

// keepAlive is a connection with HTTP/1.1, as Synapse makes it. Only one writer may use it at a time. Its requests are written by hand, since
// the server cannot use the CPU time that the homeservers need.
type keepAlive struct {
	dialer *dialer
	head   []byte
	conn   net.Conn
	reader *bufio.Reader
	buffer []byte
}

func (k *keepAlive) post(ctx context.Context, body []byte) (status int, err error) {
	if k.conn == nil {
		if k.conn, err = k.dialer.dial(ctx); err != nil {
			return 0, err
		}
		k.reader = bufio.NewReader(k.conn)
	}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if err := k.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, err
	}
	k.buffer = append(k.buffer[:0], k.head...)
	k.buffer = strconv.AppendInt(k.buffer, int64(len(body)), 10)
	k.buffer = append(append(k.buffer, "\r\n\r\n"...), body...)
	if _, err := k.conn.Write(k.buffer); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(k.reader, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	if resp.Close {
		k.close()
	}
	return resp.StatusCode, nil
}

func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	if d.url.Scheme == "http" {
		return new(net.Dialer).DialContext(ctx, "tcp", d.address)
	}
	return (&tls.Dialer{Config: &tls.Config{
		RootCAs: d.roots, ServerName: d.url.Hostname(), NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
	}}).DialContext(ctx, "tcp", d.address)
}

func (k *keepAlive) close() {
	if k.conn != nil {
		_ = k.conn.Close()
		k.conn = nil
	}
}

// multiplexed is a connection with HTTP/2. It is safe for concurrent use.
type multiplexed struct {
	*line
	url string
}

func (m *multiplexed) post(ctx context.Context, body []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := m.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
