package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rawConn is a connection to the gateway on which a test writes what it likes, and reads one answer after the other.
type rawConn struct {
	t *testing.T
	net.Conn
	answers *bufio.Reader
}

// raw connects to the gateway's first site, over TLS with HTTP/1.1.
func (p *process) raw(t *testing.T) *rawConn {
	t.Helper()
	conn := p.dial(t, "http/1.1")
	return &rawConn{t, conn, bufio.NewReader(conn)}
}

// dial connects to the gateway's first site over TLS, with a protocol.
func (p *process) dial(t *testing.T, protocol string) net.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)), &tls.Config{
		ServerName: "gateway.test", InsecureSkipVerify: true, NextProtos: []string{protocol}, // the certificate is not what is tested
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// send writes bytes as they are. The gateway may close the connection meanwhile. Its answer can still be read.
func (c *rawConn) send(text string) {
	c.t.Helper()
	for rest := text; ; {
		_, content, found := strings.Cut(rest, "\r\n\r\n")
		if !found {
			break
		}
		canaries.sent([]byte(content))
		rest = content
	}
	_, _ = io.WriteString(c, text)
}

// errNoAnswer means that the gateway closed the connection without an answer.
var errNoAnswer = errors.New("the connection was closed without an answer")

// next reads the next answer.
func (c *rawConn) next() (reply, error) {
	resp, err := http.ReadResponse(c.answers, nil)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return reply{}, errNoAnswer
	}
	if err != nil {
		return reply{}, err
	}
	if resp.StatusCode == http.StatusContinue {
		return c.next()
	}
	return readReply(resp)
}

// answer returns the next answer. The test fails if there is none.
func (c *rawConn) answer() reply {
	c.t.Helper()
	r, err := c.next()
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	return r
}

// whole returns a complete request with these header fields, a Host and the body.
func (p *process) whole(body string, header ...string) string {
	return p.post(p.port, append(header, "Content-Length: "+strconv.Itoa(len(body)))...) + body
}

// speak writes a request to the port as it is, with or without TLS, and returns the first answer. The request may be incomplete.
func speak(t *testing.T, port int, secure bool, request string) reply {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		conn = tls.Client(conn, &tls.Config{ServerName: "gateway.test", InsecureSkipVerify: true}) // not what is tested
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, content, _ := strings.Cut(request, "\r\n\r\n")
	canaries.sent([]byte(content))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	r, err := readReply(resp)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// post returns the head of a request to the gateway.
func (p *process) post(port int, header ...string) string {
	return "POST /_matrix/push/v1/notify HTTP/1.1\r\nHost: gateway.test:" + strconv.Itoa(port) + "\r\n" +
		strings.Join(header, "\r\n") + "\r\n\r\n"
}
