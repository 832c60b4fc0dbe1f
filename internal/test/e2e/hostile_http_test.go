package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Requests that two servers in a row may read differently. Whatever the gateway answers, it never takes the rest of a request for another
// request: a proxy in front of it may have forwarded those bytes for somebody else.

// smuggler builds the bytes of one shape. One device is in the plain request, and another one only in the smuggled request.
type smuggler struct {
	p *process
	// body is a good request's body, and smuggled a whole request.
	body, smuggled string
}

// with returns the head with these fields.
func (s smuggler) with(fields ...string) string { return s.p.post(s.p.port, fields...) }

// chunked returns text as chunks.
func chunked(text, extension string) string {
	return fmt.Sprintf("%x%s\r\n%s\r\n0\r\n\r\n", len(text), extension, text)
}

// smuggling is a shape of a request.
type smuggling struct {
	name  string
	bytes func(s smuggler) string
	// status is the first answer's; 0 if the request may be refused or accepted, but only as one request.
	status int
	// delivered means that the request is a good one.
	delivered bool
	// second means that what follows is rightly a separate request.
	second bool
}

func smugglings() []smuggling {
	length := func(s smuggler) string { return "Content-Length: " + strconv.Itoa(len(s.body)) }
	refused := func(name string, status int, bytes func(s smuggler) string) smuggling {
		return smuggling{name: name, bytes: bytes, status: status}
	}
	return []smuggling{
		refused("chunks and a length", 400, func(s smuggler) string {
			return s.with("Transfer-Encoding: chunked", length(s)) + s.body + s.smuggled
		}),
		refused("two lengths", 400, func(s smuggler) string { return s.with("Content-Length: 0", length(s)) + s.body + s.smuggled }),
		refused("two lengths in one field", 400, func(s smuggler) string { return s.with("Content-Length: 0, 5") + s.body + s.smuggled }),
		refused("a length with a plus", 400, func(s smuggler) string { return s.with("Content-Length: +4") + s.body + s.smuggled }),
		refused("a length below zero", 400, func(s smuggler) string { return s.with("Content-Length: -1") + s.body + s.smuggled }),
		refused("a length in hexadecimal", 400, func(s smuggler) string { return s.with("Content-Length: 0x10") + s.body + s.smuggled }),
		refused("a length beyond all", 400, func(s smuggler) string { return s.with("Content-Length: 99999999999999999999") + s.body + s.smuggled }),
		refused("a length of nothing", 400, func(s smuggler) string { return s.with("Content-Length:") + s.body + s.smuggled }),
		refused("a space before the colon", 400, func(s smuggler) string {
			return s.with("Transfer-Encoding : chunked", length(s)) + s.body + s.smuggled
		}),
		refused("a coding in a folded line", 501, func(s smuggler) string {
			return s.with("Transfer-Encoding:\r\n identity,", "Content-Length: 0") + s.smuggled
		}),
		refused("a coding that nobody knows", 501, func(s smuggler) string {
			return s.with("Transfer-Encoding: xchunked") + chunked(s.body, "") + s.smuggled
		}),
		refused("two codings", 501, func(s smuggler) string {
			return s.with("Transfer-Encoding: gzip, chunked") + chunked(s.body, "") + s.smuggled
		}),
		refused("chunks twice", 501, func(s smuggler) string {
			return s.with("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + chunked(s.body, "") + s.smuggled
		}),
		refused("a coding with a vertical tab", 0, func(s smuggler) string {
			return s.with("Transfer-Encoding: \x0bchunked") + chunked(s.body, "") + s.smuggled
		}),
		refused("a chunk's length with a plus", 400, func(s smuggler) string {
			return s.with("Transfer-Encoding: chunked") + "+5\r\n{}   \r\n0\r\n\r\n" + s.smuggled
		}),
		refused("a chunk that is longer than it says", 400, func(s smuggler) string {
			return s.with("Transfer-Encoding: chunked") + "2\r\n{}xx\r\n0\r\n\r\n" + s.smuggled
		}),
		refused("a chunk of 17 digits", 400, func(s smuggler) string {
			return s.with("Transfer-Encoding: chunked") + "10000000000000002\r\n{}\r\n0\r\n\r\n" + s.smuggled
		}),
		refused("an extension of 100 KiB", 0, func(s smuggler) string {
			return s.with("Transfer-Encoding: chunked") + chunked(s.body, ";x="+strings.Repeat("y", 100<<10)) + s.smuggled
		}),
		refused("a name with a NUL", 400, func(s smuggler) string { return s.with("X\x00: y", "Content-Length: 0") + s.smuggled }),
		refused("a value with a NUL", 400, func(s smuggler) string { return s.with("X: \x00", "Content-Length: 0") + s.smuggled }),
		refused("a value with half a line's end", 400, func(s smuggler) string {
			return s.with("X: y\rTransfer-Encoding: chunked", "Content-Length: 0") + s.smuggled
		}),
		refused("two Hosts", 400, func(s smuggler) string { return s.with("Host: other.test", length(s)) + s.body }),
		refused("no Host", 400, func(s smuggler) string {
			return "POST /_matrix/push/v1/notify HTTP/1.1\r\n" + length(s) + "\r\n\r\n" + s.body + s.smuggled
		}),
		refused("an empty line before it", 400, func(s smuggler) string { return "\r\n" + s.with(length(s)) + s.body + s.smuggled }),
		refused("an invalid version", 400, func(s smuggler) string {
			return strings.Replace(s.with("Content-Length: 0"), "HTTP/1.1", "HTTP/1.1x", 1) + s.smuggled
		}),
		refused("HTTP/0.9", 400, func(s smuggler) string { return "POST /_matrix/push/v1/notify\r\n" + s.body + s.smuggled }),
		refused("an expectation that nobody meets", 417, func(s smuggler) string { return s.with("Expect: 200-ok", length(s)) + s.body + s.smuggled }),
		refused("a head of 2 MiB", 431, func(s smuggler) string {
			return s.with("X: "+strings.Repeat("y", 2<<20), "Content-Length: 0") + s.smuggled
		}),
		refused("a body that is longer than it may be, and not all there", 413, func(s smuggler) string {
			return s.with("Content-Length: 300000") + s.smuggled
		}),
		refused("chunks that are more than they may be", 413, func(s smuggler) string {
			return s.with("Transfer-Encoding: chunked") + chunked(strings.Repeat(" ", 270_000), "") + s.smuggled
		}),

		{name: "lines that end with only a line feed", status: 200, delivered: true, bytes: func(s smuggler) string {
			return strings.ReplaceAll(s.with(length(s)), "\r\n", "\n") + s.body
		}},
		{name: "a length and chunks, of which the chunks count", status: 200, delivered: true, bytes: func(s smuggler) string {
			return s.with("Content-Length: 4", "Transfer-Encoding: chunked") + chunked(s.body, "") + s.smuggled
		}},
		{name: "a field that goes on in the next line", status: 400, second: true, bytes: func(s smuggler) string {
			return s.with("X: y", " Transfer-Encoding: chunked", "Content-Length: 0") + s.smuggled // all of it is X
		}},
		{name: "the same length twice", status: 200, delivered: true, bytes: func(s smuggler) string { return s.with(length(s), length(s)) + s.body }},
		{name: "a chunk with an extension", status: 200, delivered: true, bytes: func(s smuggler) string {
			return s.with("Transfer-Encoding: chunked") + chunked(s.body, `;x="y"`)
		}},
		{name: "a trailer", status: 200, delivered: true, bytes: func(s smuggler) string {
			return s.with("Transfer-Encoding: chunked", "Trailer: X") + strings.TrimSuffix(chunked(s.body, ""), "\r\n") +
				"X: y\r\nContent-Length: 5\r\nHost: other.test\r\n\r\n"
		}},
		{name: "the whole URL in its first line", status: 200, delivered: true, bytes: func(s smuggler) string {
			return strings.Replace(s.with(length(s)), "/_matrix", "https://gateway.test:"+strconv.Itoa(s.p.port)+"/_matrix", 1) + s.body
		}},
		{name: "the body is asked for", status: 200, delivered: true, bytes: func(s smuggler) string { return s.with("Expect: 100-continue", length(s)) + s.body }},
		{name: "HTTP/1.0 that keeps the connection", status: 200, delivered: true, second: true, bytes: func(s smuggler) string {
			return strings.Replace(s.with("Connection: keep-alive", length(s)), "HTTP/1.1", "HTTP/1.0", 1) + s.body + s.smuggled
		}},
		{name: "HTTP/1.0 that does not", status: 200, delivered: true, bytes: func(s smuggler) string {
			return strings.Replace(s.with(length(s)), "HTTP/1.1", "HTTP/1.0", 1) + s.body + s.smuggled
		}},
		{name: "another after one that closes the connection", status: 200, delivered: true, bytes: func(s smuggler) string {
			return s.with("Connection: close", length(s)) + s.body + s.smuggled
		}},
		{name: "a request in a body", status: 400, bytes: func(s smuggler) string {
			return s.with("Content-Length: "+strconv.Itoa(len(s.smuggled))) + s.smuggled
		}},
		{name: "a request in a GET's body", status: 200, bytes: func(s smuggler) string {
			get := strings.Replace(s.with("Content-Length: "+strconv.Itoa(len(s.smuggled))), "POST", "GET", 1)
			return get + s.smuggled
		}},
		{name: "a body of nothing, and then a request", status: 400, second: true, bytes: func(s smuggler) string { return s.with("Content-Length: 0") + s.smuggled }},
		{name: "no length, and then a request", status: 400, second: true, bytes: func(s smuggler) string { return s.with("X: y") + s.smuggled }},
	}
}

func TestNoRequestIsSmuggledInAnother(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	before := s.gateway.footprint()
	for i, test := range smugglings() {
		t.Run(test.name, func(t *testing.T) {
			plain, hidden := s.service.Endpoint(fmt.Sprint("plain-", i)), s.service.Endpoint(fmt.Sprint("hidden-", i))
			body := alert("$1", upDevice(plain))
			smuggled := s.gateway.whole(alert("$2", upDevice(hidden)), "Connection: close")
			conn := s.gateway.raw(t)
			defer conn.Close()
			conn.send(test.bytes(smuggler{s.gateway, body, smuggled}))
			answers, err := conn.rest()
			if err != nil {
				t.Error(err)
			}
			if len(answers) == 0 || test.status != 0 && answers[0].Status != test.status {
				t.Errorf("answered %v, want %d", answers, test.status)
			}
			if n := len(s.service.Messages(plain)); test.status != 0 && (n > 0) != test.delivered {
				t.Errorf("%d pushes arrived", n)
			}
			want := 1
			if test.second {
				want = 2
			}
			if n := len(s.service.Messages(hidden)); (n > 0) != test.second || len(answers) > want {
				t.Errorf("what was smuggled is answered %v, and %d pushes arrived", answers, n)
			}
		})
	}
	wantBody(t, s.hs.notify(alert("$3", upDevice(s.service.Endpoint("after")))), nothingRejected)
	s.gateway.returnsTo(before)
}

// rest returns all answers until the connection ends. If the connection is kept, it asks for its end.
func (c *rawConn) rest() (answers []reply, err error) {
	for {
		r, err := c.next()
		if err != nil {
			if errors.Is(err, errNoAnswer) || len(answers) > 0 {
				err = nil
			}
			return answers, err
		}
		if r.Status == http.StatusNoContent {
			return answers, nil // the end that was asked for
		}
		answers = append(answers, r)
		if r.Header.Get("Connection") == "close" {
			if _, err := c.answers.Peek(1); !errors.Is(err, io.EOF) && err == nil {
				return answers, errors.New("there are more bytes after the last answer")
			}
			return answers, nil
		}
		if len(answers) == 1 {
			c.send(c.closing())
		}
	}
}

// closing returns a request that ends the connection and does nothing else.
func (c *rawConn) closing() string {
	return "OPTIONS /_matrix/push/v1/notify HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n"
}

// Requests that arrive in one write are answered in their order, each with its own answer.
func TestPipelinedRequestsAreAnsweredInTheirOrder(t *testing.T) {
	t.Parallel()
	s := newScene(t, "", "matrix_push")
	const count = 60
	var all strings.Builder
	want := make([]string, count)
	for i := range count {
		d := device{AppID: "unknown", Pushkey: fmt.Sprint("pushkey-", i)}
		want[i] = rejecting(d.Pushkey)
		if i%2 == 1 {
			d = upDevice(s.service.Endpoint(d.Pushkey))
			want[i] = nothingRejected
		}
		all.WriteString(s.gateway.whole(alert("$1", d)))
	}
	conn := s.gateway.raw(t)
	conn.send(all.String())
	for i := range count {
		if r := conn.answer(); r.Status != http.StatusOK || r.Body != want[i] {
			t.Fatalf("request %d is answered %d %s, want %s", i, r.Status, r.Body, want[i])
		}
	}
	// A bad request ends the connection, and nothing after it is read.
	hidden := s.service.Endpoint("hidden")
	conn.send(s.gateway.whole("{") + s.gateway.post(s.gateway.port, "Content-Length: x") + s.gateway.whole(alert("$1", upDevice(hidden))))
	if r := conn.answer(); r.ErrCode != "M_NOT_JSON" {
		t.Errorf("answered %d %s", r.Status, r.Body)
	}
	if r := conn.answer(); r.Status != http.StatusBadRequest {
		t.Errorf("answered %d %s", r.Status, r.Body)
	}
	if r, err := conn.next(); !errors.Is(err, errNoAnswer) {
		t.Errorf("answered %d %s, %v", r.Status, r.Body, err)
	}
	s.pushes(hidden, 0)
}
