package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
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
	conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)), &tls.Config{
		ServerName: "gateway.test", InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}, // the certificate is not what is tested
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &rawConn{t, conn, bufio.NewReader(conn)}
}

// send writes bytes as they are. That the gateway hangs up meanwhile is no failure: what it answered can still be read.
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

// errNoAnswer says that the gateway hung up without a word.
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
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusContinue {
		return c.next()
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	var fields struct {
		Rejected []string `json:"rejected"`
		ErrCode  string   `json:"errcode"`
	}
	if json.Unmarshal(body, &fields) == nil {
		r.Rejected, r.ErrCode = fields.Rejected, fields.ErrCode
	}
	return r, nil
}

// answer is the next answer; the test fails if there is none.
func (c *rawConn) answer() reply {
	c.t.Helper()
	r, err := c.next()
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	return r
}

// whole is a whole request with these header fields, a Host and the body.
func (p *process) whole(body string, header ...string) string {
	return p.post(p.port, append(header, "Content-Length: "+strconv.Itoa(len(body)))...) + body
}
