package e2e

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// A server that goes away gives back the requests that it did not process, and net/http sends them again. The new connection may be reset
// before it is established, for example if Caddy replaces its listener before it accepts it. Then nobody has seen the request.
func TestARequestGivenBackToAConnectionThatNeverCameAboutWasNotSent(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	certificate := httptest.NewUnstartedServer(nil)
	certificate.EnableHTTP2 = true
	certificate.StartTLS()
	defer certificate.Close()
	served := make(chan error, 1)
	go func() { served <- giveBackAndReset(listener, certificate.TLS) }()

	client := &http.Client{Transport: certificate.Client().Transport, Timeout: 10 * time.Second}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+listener.Addr().String(), strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := send(client, req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, errNotConnected) {
		t.Errorf("the request ends with %v, want %v", err, errNotConnected)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// giveBackAndReset accepts a connection and gives back what comes on it, and resets the next connection.
func giveBackAndReset(listener net.Listener, config *tls.Config) error {
	conn, err := tls.NewListener(listener, config).Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		return err
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		if _, isRequest := frame.(*http2.HeadersFrame); isRequest {
			break
		}
	}
	if err := framer.WriteGoAway(0, http2.ErrCodeNo, nil); err != nil {
		return err
	}
	next, err := listener.Accept()
	if err != nil {
		return err
	}
	if err := next.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	return next.Close()
}
