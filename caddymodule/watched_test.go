package caddymodule

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// server is the server's response writer. It notes which of its methods are called.
type server struct {
	response
	called []string
}

func (s *server) call(name string) { s.called = append(s.called, name) }
func (s *server) ReadFrom(r io.Reader) (int64, error) {
	s.call("ReadFrom")
	return io.Copy(io.Discard, r)
}
func (s *server) FlushError() error                    { s.call("Flush"); return nil }
func (s *server) EnableFullDuplex() error              { s.call("EnableFullDuplex"); return nil }
func (s *server) SetWriteDeadline(time.Time) error     { s.call("SetWriteDeadline"); return nil }
func (s *server) Push(string, *http.PushOptions) error { s.call("Push"); return nil }
func (s *server) WriteHeader(int)                      { s.call("WriteHeader") }
func (s *server) Write(p []byte) (int, error)          { s.call("Write"); return len(p), nil }
func (s *server) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	s.call("Hijack")
	return nil, nil, nil
}

func TestAHandlerBehindTheGatewayReachesTheServersOwnMethods(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do       func(w http.ResponseWriter, rc *http.ResponseController) error
		answered bool
	}{
		"Write": {func(w http.ResponseWriter, _ *http.ResponseController) error { _, err := w.Write(nil); return err }, true},
		"WriteHeader": {func(w http.ResponseWriter, _ *http.ResponseController) error {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}, true},
		"ReadFrom": {func(w http.ResponseWriter, _ *http.ResponseController) error {
			_, err := io.Copy(w, io.LimitReader(strings.NewReader("a"), 1))
			return err
		}, true},
		"Flush":            {func(_ http.ResponseWriter, rc *http.ResponseController) error { return rc.Flush() }, true},
		"Hijack":           {func(_ http.ResponseWriter, rc *http.ResponseController) error { _, _, err := rc.Hijack(); return err }, true},
		"EnableFullDuplex": {func(_ http.ResponseWriter, rc *http.ResponseController) error { return rc.EnableFullDuplex() }, false},
		"SetWriteDeadline": {func(_ http.ResponseWriter, rc *http.ResponseController) error { return rc.SetWriteDeadline(time.Now()) }, false},
		"Push":             {func(w http.ResponseWriter, _ *http.ResponseController) error { return w.(http.Pusher).Push("/a", nil) }, false},
	} {
		s := new(server)
		w := &watchedWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: s}}
		if err := tt.do(w, http.NewResponseController(w)); err != nil || !slices.Equal(s.called, []string{name}) || w.answered != tt.answered {
			t.Errorf("%s: called %q, answered %v, %v", name, s.called, w.answered, err)
		}
	}
	// What a server cannot do, such as a takeover of an HTTP/2 connection, is not an answer.
	w := &watchedWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: new(response)}}
	rc := http.NewResponseController(w)
	if _, _, err := rc.Hijack(); err == nil || rc.Flush() == nil || w.answered {
		t.Errorf("a server without the methods: %v, answered %v", err, w.answered)
	}
	for status, answered := range map[int]bool{100: false, 103: false, 101: true, 200: true, 404: true} {
		w := &watchedWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: new(server)}}
		if w.WriteHeader(status); w.answered != answered {
			t.Errorf("status %d: answered %v", status, w.answered)
		}
	}
}

// Not parallel, as the count is for the whole process.
func TestARequestForAnotherHandlerCostsAtMostOneAllocation(t *testing.T) {
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusNoContent); return nil })
	ctx := context.WithValue(t.Context(), caddyhttp.VarsCtxKey, map[string]any{})
	for method, most := range map[string]float64{http.MethodPost: 1, http.MethodGet: 0, http.MethodPut: 0} {
		r, err := http.NewRequestWithContext(ctx, method, "https://push.example.org/up", nil)
		if err != nil {
			t.Fatal(err)
		}
		h, w := new(Handler), new(response)
		if got := testing.AllocsPerRun(100, func() { _ = h.ServeHTTP(w, r, next) }); got > most {
			t.Errorf("%s: %v allocations, want at most %v", method, got, most)
		}
	}
}
