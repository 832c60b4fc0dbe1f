package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Guards against a push service that Sygnal cannot use: its client of APNs begins with HTTP/2 without having negotiated it, and finds its request
// by the apns-id of the answer.
func TestAClientThatDoesNotNegotiateHTTP2MaySpeakIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := writeKeys(dir); err != nil {
		t.Fatal(err)
	}
	s := newSetup(small(t, "-provider apns"))
	c, err := s.startSink(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.stop() }()
	roots, err := trusted(dir)
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}).DialContext(ctx, network, address)
	}}
	defer transport.CloseIdleConnections()
	url := "http" + strings.TrimPrefix(s.Origins[0], "https") + "/3/device/x"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(apnsID, "id")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body) // none, from APNs
	if err != nil || resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK || resp.Header.Get(apnsID) != "id" || len(body) > 0 {
		t.Errorf("it answers %s %s with %v and %q: %v", resp.Proto, resp.Status, resp.Header, body, err)
	}
	var got received
	if err := c.ask(askReceived, &got); err != nil || got.Pushes != 1 || got.Connections != 1 {
		t.Errorf("it received %+v: %v", got, err)
	}
}
