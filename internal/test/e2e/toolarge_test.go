package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// A body is refused by its length, before it is read. The client is still sending it, and must get the answer, not a reset connection.
func TestWhoSendsTooMuchGetsAnAnswerAndNoReset(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	p := newProcess(t)
	p.start(gatewayConfig(service.global("rejected memory"), "matrix_push") + "http://other.test:{port2} {\nmatrix_push {\nplaintext allow\n}\n}\n")
	for range 20 {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port2)))
		if err != nil {
			t.Fatal(err)
		}
		const size = 900_000 // more than max_body, and more than a socket takes at once
		if _, err := fmt.Fprintf(conn, "POST /_matrix/push/v1/notify HTTP/1.1\r\nHost: other.test\r\nContent-Length: %d\r\n\r\n", size); err != nil {
			t.Fatal(err)
		}
		for range size / 1000 {
			if _, err := conn.Write([]byte(strings.Repeat(" ", 1000))); err != nil {
				t.Fatalf("the connection was closed while the body was sent: %v", err)
			}
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("there is no answer: %v", err)
		}
		if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
			t.Errorf("answered %s, close: %v", resp.Status, resp.Close)
		}
		_ = resp.Body.Close()
		_ = conn.Close()
	}
}
