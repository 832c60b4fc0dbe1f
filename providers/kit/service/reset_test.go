package service

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// FCM answers each push with a body. A provider that knows enough by the status need not read it.
func TestAnAnswerThatIsNotReadResetsNothing(t *testing.T) {
	t.Parallel()
	s := newUnstartedServer(t, 100, ok)
	listener := tls.NewListener(s.Listener, &tls.Config{Certificates: s.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	reset := make(chan int, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		reset <- serveBodies(conn)
	}()
	c := openClient(t, "https://"+s.Listener.Addr().String(), s.ca.File)
	for range 100 {
		unread(t.Context(), t, c)
	}
	closeClient(t, c)
	if n := <-reset; n > 0 {
		t.Errorf("%d streams were reset", n)
	}
}

func TestAnAnswerThatIsNotReadKeepsItsConnection(t *testing.T) {
	t.Parallel()
	s := newServer(t, http1, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 10_000)) })
	c := newClient(t, s.URL, s.ca.File)
	for range 10 {
		unread(t.Context(), t, c)
	}
	s.want(t, 1)
}

// unread makes a request, and closes the answer's body at once.
func unread(ctx context.Context, t *testing.T, c *Client) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL("/").String(), strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}

// serveBodies answers each request with 200 and a body until the connection ends, and returns how many streams the client reset.
func serveBodies(conn io.ReadWriter) (resets int) {
	_, _ = io.CopyN(io.Discard, conn, int64(len(h2.ClientPreface)))
	framer := h2.NewFramer(conn, conn)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	err := framer.WriteSettings()
	for err == nil {
		var frame h2.Frame
		if frame, err = framer.ReadFrame(); err != nil {
			break
		}
		switch frame := frame.(type) {
		case *h2.RSTStreamFrame:
			resets++
		case *h2.SettingsFrame:
			if !frame.IsAck() {
				err = framer.WriteSettingsAck()
			}
		case *h2.DataFrame:
			if !frame.StreamEnded() {
				continue
			}
			block.Reset()
			err = errors.Join(
				encoder.WriteField(hpack.HeaderField{Name: ":status", Value: "200"}),
				framer.WriteHeaders(h2.HeadersFrameParam{StreamID: frame.StreamID, BlockFragment: block.Bytes(), EndHeaders: true}),
				framer.WriteData(frame.StreamID, false, []byte(`{"name":"projects/demo/messages/1"}`)),
				framer.WriteData(frame.StreamID, true, nil),
			)
		}
	}
	return resets
}
