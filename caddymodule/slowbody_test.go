package caddymodule

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are pipes. Their deadlines follow the test's clock.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A client that stops in the middle of a body, or sends it in drips, is cut off after a time that no homeserver exceeds. A client that is
// only slow is served. The operator can set another limit with read_body.
func TestABodyIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		readTimeout time.Duration // of the server
		every       time.Duration // a byte comes
		bytes       int           // of the ten that are announced
		status      string
		after       time.Duration
	}{
		{"it comes at once", 0, 0, 10, "200 OK", 0},
		{"it comes slowly", 0, 2 * time.Second, 10, "200 OK", 20 * time.Second},
		{"it comes too slowly", 0, 4 * time.Second, 10, "400 Bad Request", bodyTime},
		{"it stops", 0, 0, 9, "400 Bad Request", bodyTime},
		{"it never begins", 0, 0, 0, "400 Bad Request", bodyTime},
		{"the operator is less patient", 3 * time.Second, 2 * time.Second, 10, "400 Bad Request", 3 * time.Second},
		{"the operator is more patient", time.Minute, 4 * time.Second, 10, "400 Bad Request", bodyTime},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &Handler{app: &App{MaxBody: 1000}}
				listener := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
				server := &http.Server{ReadTimeout: test.readTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					start := time.Now()
					_, err := h.read(w, r, nil)
					if took := time.Since(start); took != test.after {
						t.Errorf("it took %s, want %s", took, test.after)
					}
					if err != nil {
						fail(w, err)
						return
					}
					time.Sleep(2 * bodyTime) // what comes after the body may take its time
					if r.Context().Err() != nil {
						t.Error("the request is taken for given up")
					}
				})}
				served := make(chan error, 1)
				go func() { served <- server.Serve(listener) }()
				client, conn := net.Pipe()
				listener.accepted <- conn
				go func() {
					_, _ = io.WriteString(client, "POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 10\r\n\r\n")
					for range test.bytes {
						time.Sleep(test.every)
						if _, err := client.Write([]byte(" ")); err != nil {
							return
						}
					}
				}()
				line, err := bufio.NewReader(client).ReadString('\n')
				if err != nil || !strings.Contains(line, test.status) {
					t.Errorf("answered %q, %v", line, err)
				}
				_ = client.Close()
				_ = server.Close()
				time.Sleep(time.Hour) // whoever still writes finds that out
				if err := <-served; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			})
		})
	}
}
