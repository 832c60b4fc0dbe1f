package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	tokenPath = "/token"
	apnsID    = "Apns-Id"
)

// sink is the push service. It takes every push as fast as a server can, and answers as the setup says. It does not check the pushes. The strict
// fakes of the tests do, and would cost more than what is measured.
type sink struct {
	setup

	pushes, bytes, refused, connections, closed atomic.Int64

	last atomic.Pointer[request]
}

// received is what a push service has received so far.
type received struct {
	Pushes, Bytes, Refused int64
	// Connections counts those that were opened, and Closed those that were closed.
	Connections, Closed int64
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
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, certificateFile), filepath.Join(dir, keyFile))
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
	server := s.server()
	defer server.Close()
	var origins []string
	for i := range s.Hosts {
		port := s.Listen
		if port > 0 {
			port += i
		}
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return err
		}
		origins = append(origins, "https://"+listener.Addr().String())
		go func() { _ = server.Serve(opaque{tls.NewListener(listener, config)}) }()
	}
	return converse(origins, func(question string) any {
		if question != askReceived {
			return used()
		}
		return received{s.pushes.Load(), s.bytes.Load(), s.refused.Load(), s.connections.Load(), s.closed.Load(), s.last.Load()}
	})
}

// server returns the HTTP server. It speaks HTTP/2 with each client that begins with it.
func (s *sink) server() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: s, ReadHeaderTimeout: time.Minute, Protocols: protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1000}, // as APNs
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.connections.Add(1)
			case http.StateClosed:
				s.closed.Add(1)
			}
		},
	}
}

// opaque hides from net/http that connections have TLS. With TLS, net/http speaks HTTP/2 only with clients that negotiate it (ALPN). APNs
// needs no negotiation, and Sygnal's client makes none.
type opaque struct{ net.Listener }

// Accept waits for the next connection.
func (o opaque) Accept() (net.Conn, error) {
	conn, err := o.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{conn}, nil
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
	if id := r.Header.Get(apnsID); id != "" { // some clients find their request by it
		w.Header().Set(apnsID, id)
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
	case s.Provider == fcm:
		_, _ = io.WriteString(w, `{"name":"projects/`+project+`/messages/0:1"}`)
	default: // APNs, which answers without a body,
		// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns.
	}
}

// due spreads a share of events evenly. It reports whether the nth, counted from 1, is one of them.
func due(n int64, share float64) bool {
	return math.Floor(float64(n)*share) > math.Floor(float64(n-1)*share)
}
