package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

const tokenPath = "/token"

// sink is the push service. It takes every push as fast as a server can, and answers as the setup says. It does not check the pushes. The strict
// fakes of the tests do, and would cost more than what is measured.
type sink struct {
	setup

	pushes, bytes, refused, connections atomic.Int64
	last                                atomic.Pointer[request]
}

// received is what a push service has received so far.
type received struct {
	Pushes, Bytes, Refused, Connections int64
	// Last is a push that it took.
	Last *request
}

// request is a push as it arrived.
type request struct {
	Path   string
	Header http.Header
	Body   []byte
}

// playSink serves until the standard input ends. It listens on a port for each host, and first writes the origins.
func playSink(dir string) error {
	s := new(sink)
	if err := s.setup.read(dir); err != nil {
		return err
	}
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: time.Minute, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1000}, // as APNs
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.connections.Add(1)
			}
		},
	}
	var origins []string
	for range s.Hosts {
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		origins = append(origins, "https://"+listener.Addr().String())
		go func() {
			_ = server.ServeTLS(listener, filepath.Join(dir, certificateFile), filepath.Join(dir, keyFile))
		}()
	}
	defer server.Close()
	return converse(origins, func(question string) any {
		if question != askReceived {
			return used()
		}
		return received{s.pushes.Load(), s.bytes.Load(), s.refused.Load(), s.connections.Load(), s.last.Load()}
	})
}

// ServeHTTP takes a push, or issues an access token.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == tokenPath {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, accessToken)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	n := s.pushes.Add(1)
	s.bytes.Add(int64(len(body)))
	s.last.Store(&request{r.URL.Path, r.Header, body})
	if s.Latency > 0 {
		time.Sleep(s.Latency)
	}
	switch {
	case due(n, s.Errors):
		s.refused.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	case s.Provider == rejected:
		w.WriteHeader(http.StatusGone)
		fmt.Fprintf(w, `{"reason":"Unregistered","timestamp":%d}`, time.Now().UnixMilli())
	case strings.HasSuffix(s.Provider, "push"):
		w.WriteHeader(http.StatusCreated)
	default:
		_, _ = io.WriteString(w, "{}")
	}
}

// due spreads a share of events evenly. It reports whether the nth, counted from 1, is one of them.
func due(n int64, share float64) bool {
	return math.Floor(float64(n)*share) > math.Floor(float64(n-1)*share)
}
