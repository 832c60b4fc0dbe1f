package service

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// server is an HTTP/2 server with a limit of streams, or an HTTP/1.1 server. It counts its connections.
type server struct {
	*httptest.Server
	ca          *providertest.CA
	connections atomic.Int64
}

// http1 is the limit of a server without HTTP/2.
const http1 = 0

func newServer(t *testing.T, streams int, handler http.HandlerFunc) *server {
	t.Helper()
	s := newUnstartedServer(t, streams, handler)
	s.StartTLS()
	return s
}

func newUnstartedServer(t *testing.T, streams int, handler http.HandlerFunc) *server {
	t.Helper()
	s := &server{Server: httptest.NewUnstartedServer(handler), ca: providertest.NewCA(t)}
	s.EnableHTTP2 = streams != http1
	s.TLS = &tls.Config{Certificates: []tls.Certificate{s.ca.Certificate(t, "127.0.0.1", "push.example")}}
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	t.Cleanup(s.Close)
	return s
}

// openClient returns a client whose connections are shared within the same test.
func openClient(t *testing.T, address, caFile string) *Client {
	t.Helper()
	settings, err := (&network.Options{TrustedCA: caFile, Proxy: "none"}).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(Options{Server: target, Settings: settings, Identity: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newClient(t *testing.T, address, caFile string) *Client {
	t.Helper()
	c := openClient(t, address, caFile)
	t.Cleanup(func() { closeClient(t, c) })
	return c
}

func closeClient(t *testing.T, c *Client) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func post(ctx context.Context, c *Client) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL("/3/device/00").String(), strings.NewReader("{}"))
	if err != nil {
		return 0, err
	}
	resp, err := c.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func wantOK(t *testing.T, c *Client) {
	t.Helper()
	if status, err := post(t.Context(), c); err != nil || status != http.StatusOK {
		t.Errorf("got %d, %v", status, err)
	}
}

func ok(http.ResponseWriter, *http.Request) {}

// Guards against a transport that makes a connection for each request of a cold start, and one that waits forever for a stream.
func TestAThousandFirstRequestsShareFewConnections(t *testing.T) {
	t.Parallel()
	for streams, most := range map[int]int64{http1: 12, 1: maxConnections, 100: maxConnections, 1000: 1} {
		t.Run("where a connection takes "+strconv.Itoa(streams), func(t *testing.T) {
			t.Parallel()
			s := newServer(t, streams, ok)
			c := newClient(t, s.URL, s.ca.File)
			var group sync.WaitGroup
			for range 1000 {
				group.Go(func() { wantOK(t, c) })
			}
			group.Wait()
			if n := s.connections.Load(); n > most {
				t.Errorf("%d connections were made, want at most %d", n, most)
			}
		})
	}
}

func TestAStalledHandshakeCostsTheDialTimeoutAndNotMoreThanTheRequestHas(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	c := newClient(t, "https://"+silent.Addr().String(), "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := post(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := post(t.Context(), c); err == nil {
		t.Error("there is an answer")
	}
}

func TestAServerThatIsNotThereIsAnErrorForAllWhoWait(t *testing.T) {
	t.Parallel()
	s := newServer(t, 100, ok)
	s.Close()
	c := newClient(t, s.URL, s.ca.File)
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			if _, err := post(t.Context(), c); err == nil {
				t.Error("there is an answer")
			}
		})
	}
	group.Wait()
}

// A request that is given up must also give up its place in line.
func TestWhoGivesUpDoesNotKeepOthersWaiting(t *testing.T) {
	t.Parallel()
	for name, streams := range map[string]int{"HTTP/1.1": http1, "HTTP/2": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var known atomic.Int64
			let := make(chan struct{})
			arrived := make(chan struct{}, maxConnections)
			s := newServer(t, streams, func(http.ResponseWriter, *http.Request) {
				if known.Add(1) > 2 {
					arrived <- struct{}{}
					<-let
				}
			})
			c := newClient(t, s.URL, s.ca.File)
			wantOK(t, c)
			wantOK(t, c) // the client knows that a connection takes one request
			var group sync.WaitGroup
			for range maxConnections {
				group.Go(func() { wantOK(t, c) })
			}
			for range maxConnections {
				<-arrived
			}
			ctx, cancel := context.WithCancel(t.Context())
			for range 10 {
				group.Go(func() {
					if _, err := post(ctx, c); !errors.Is(err, context.Canceled) {
						t.Errorf("got %v", err)
					}
				})
			}
			cancel()
			group.Go(func() { wantOK(t, c) })
			close(let)
			group.Wait()
		})
	}
}

func TestConnectionsOutliveTheirClientWhileAnotherUsesThem(t *testing.T) {
	t.Parallel()
	s := newServer(t, 100, ok)
	first, second := openClient(t, s.URL, s.ca.File), newClient(t, s.URL, s.ca.File)
	wantOK(t, first)
	closeClient(t, first)
	wantOK(t, second)
	if n := s.connections.Load(); n != 1 {
		t.Errorf("%d connections were made", n)
	}
}

// An app's requests must not use a connection that another app's options made: it may bypass the app's proxy, or lead to a server that
// the app does not trust.
func TestAConnectionServesNoClientOfOtherOptions(t *testing.T) {
	t.Parallel()
	s := newServer(t, 100, ok)
	wantOK(t, newClient(t, s.URL, s.ca.File))
	for name, o := range map[string]network.Options{
		"another trusted_ca": {TrustedCA: providertest.NewCA(t).File, Proxy: "none"},
		"no trusted_ca":      {Proxy: "none"},
		"a proxy":            {TrustedCA: s.ca.File, Proxy: "http://127.0.0.1:1"}, // nothing listens there
	} {
		settings, err := o.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		server, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		c, err := NewClient(Options{Server: server, Settings: settings, Identity: t.Name()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeClient(t, c) })
		if status, err := post(t.Context(), c); err == nil {
			t.Errorf("with %s, it answered %d", name, status)
		}
	}
}

// A connection carries the certificate that it was made with, and APNs accepts the tokens of only one team on it.
func TestAConnectionServesNoClientOfAnotherIdentity(t *testing.T) {
	t.Parallel()
	s := newServer(t, 100, ok)
	settings, err := (&network.Options{Endpoint: s.URL, TrustedCA: s.ca.File, Proxy: "none"}).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	for _, identity := range []string{"", "one", "another", "one"} {
		c, err := NewClient(Options{Settings: settings, Identity: identity})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeClient(t, c) })
		wantOK(t, c)
	}
	s.want(t, 3)
}

func TestARequestUnderWayOutlivesItsClientAndTheConnectionIsClosedAfterIt(t *testing.T) {
	t.Parallel()
	for name, streams := range map[string]int{"HTTP/1.1": http1, "HTTP/2": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived, let := make(chan struct{}), make(chan struct{})
			s := newServer(t, streams, func(http.ResponseWriter, *http.Request) {
				arrived <- struct{}{}
				<-let
			})
			c := openClient(t, s.URL, s.ca.File)
			var group sync.WaitGroup
			group.Go(func() { wantOK(t, c) })
			<-arrived
			closeClient(t, c)
			close(let)
			group.Wait()
			c.connections.mu.Lock()
			defer c.connections.mu.Unlock()
			if n := len(c.connections.open); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
}

func TestRenewedConnectionsTakeAllFurtherRequests(t *testing.T) {
	t.Parallel()
	for name, streams := range map[string]int{"HTTP/1.1": http1, "HTTP/2": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, streams, ok)
			c := newClient(t, s.URL, s.ca.File)
			for range 3 {
				wantOK(t, c)
				c.Renew()
			}
			if n := s.connections.Load(); n != 3 {
				t.Errorf("%d connections were made", n)
			}
		})
	}
}

// slow is a context whose deadline passes, unnoticed by net/http, when the answer comes.
type slow struct {
	context.Context
	over atomic.Bool
}

func (s *slow) Err() error {
	if s.over.Load() {
		return context.DeadlineExceeded
	}
	return s.Context.Err()
}

func TestAnAnswerAfterTheDeadlineIsNone(t *testing.T) {
	t.Parallel()
	for _, streams := range []int{http1, 100} {
		s := newServer(t, streams, ok)
		c := newClient(t, s.URL, s.ca.File)
		for range 2 * maxConnections { // each gives its place back
			late := &slow{Context: t.Context()}
			ctx := httptrace.WithClientTrace(late, &httptrace.ClientTrace{GotFirstResponseByte: func() { late.over.Store(true) }})
			if status, err := post(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("with %d streams, the answer is %d, %v", streams, status, err)
			}
		}
		wantOK(t, c)
	}
}
