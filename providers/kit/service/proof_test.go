package service

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/pipetest"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// gathering is a server that answers no request before a number of them have arrived.
func gathering(n int64) http.HandlerFunc {
	var arrived atomic.Int64
	all := make(chan struct{})
	return func(_ http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == n {
			close(all)
		}
		select {
		case <-all:
		case <-r.Context().Done():
		}
	}
}

// All requests are in progress at the same moment, before any answer.
func TestABurstGetsAConnectionForEachThousandStreams(t *testing.T) {
	t.Parallel()
	for requests, connections := range map[int]int64{1000: 1, 2000: 2} {
		t.Run(strconv.Itoa(requests)+" requests", func(t *testing.T) {
			t.Parallel()
			s := newServer(t, 1000, gathering(int64(requests)))
			burst(t, newClient(t, s.URL, s.ca.File), requests)
			s.want(t, connections)
		})
	}
}

// Such a server answers one request on each connection at once, so the connection is proven.
func TestABurstGetsAllConnectionsOfAServerWithFewStreams(t *testing.T) {
	t.Parallel()
	for _, streams := range []int{http1, 4} {
		t.Run("where a connection takes "+strconv.Itoa(streams), func(t *testing.T) {
			t.Parallel()
			all := maxConnections * max(streams, 1)
			var seen sync.Map
			arrive := gathering(int64(all))
			s := newServer(t, streams, func(w http.ResponseWriter, r *http.Request) {
				if _, proven := seen.LoadOrStore(r.RemoteAddr, true); proven {
					arrive(w, r)
				}
			})
			burst(t, newClient(t, s.URL, s.ca.File), all+maxConnections)
			s.want(t, maxConnections)
		})
	}
}

// streams limits the requests on a connection.
func streams(n int) func(*http.Server) {
	return func(s *http.Server) { s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: n} }
}

// burst makes n requests at once, and waits for their answers.
func burst(t *testing.T, c *Client, n int) {
	t.Helper()
	var group sync.WaitGroup
	for range n {
		group.Go(func() { wantOK(t, c) })
	}
	group.Wait()
}

func wantConnections(t *testing.T, s *pipetest.Server, made, open int64) {
	t.Helper()
	synctest.Wait()
	if s.Made.Load() != made || s.Open.Load() != open {
		t.Errorf("%d connections were made, and %d are open, want %d and %d", s.Made.Load(), s.Open.Load(), made, open)
	}
}

func TestABurstWaitsForTheFirstAnswerOfASlowServer(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{100, 1000} {
		t.Run(strconv.Itoa(limit)+" streams", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := pipetest.New(t, true, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) }, streams(limit))
				c := pipedClient(t, s)
				began := time.Now()
				burst(t, c, limit)
				wantConnections(t, s, 1, 1)
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// A connection that never answers must not hold up everybody.
func TestAnotherConnectionIsMadeIfTheFirstAnswerDoesNotCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		let := make(chan struct{})
		s := pipetest.New(t, true, func(http.ResponseWriter, *http.Request) {
			if asked.Add(1) == 1 {
				<-let
			}
		}, streams(100))
		c := pipedClient(t, s)
		connect(t, c)
		connect(t, c)
		var hanging sync.WaitGroup
		hanging.Go(func() { wantOK(t, c) })
		synctest.Wait()
		began := time.Now()
		burst(t, c, 50)
		if took := time.Since(began); took != proofTimeout {
			t.Errorf("it took %s", took)
		}
		wantConnections(t, s, 2, 2)
		close(let)
		hanging.Wait()
		burst(t, c, 100)
		wantConnections(t, s, 2, 2)
	})
}

// The time that an answer may take begins with the request, and not with a connection that is made ahead, or an earlier request.
func TestAConnectionMayBeUnusedForLongBeforeItsFirstAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := pipetest.New(t, true, func(http.ResponseWriter, *http.Request) { time.Sleep(proofTimeout - time.Second) }, streams(100))
		c := pipedClient(t, s)
		connect(t, c)
		time.Sleep(proofTimeout)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if status, err := post(ctx, c); err == nil {
			t.Errorf("got %d", status)
		}
		time.Sleep(time.Second)
		burst(t, c, 10)
		wantConnections(t, s, 1, 1)
	})
}

func TestWhatABurstNeededIsClosedAfterAMinuteAndTheLastConnectionAfterAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := pipetest.New(t, true, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) }, streams(10))
		c := pipedClient(t, s)
		wantOK(t, c)
		burst(t, c, 25)
		wantConnections(t, s, 3, 3)
		time.Sleep(spareTimeout - 1500*time.Millisecond) // so no timer ends at the moment when a request does
		wantConnections(t, s, 3, 3)
		burst(t, c, 15) // which needs only two
		time.Sleep(spareTimeout - time.Second)
		wantConnections(t, s, 3, 2)
		for range 3 {
			time.Sleep(spareTimeout)
			wantOK(t, c)
		}
		wantConnections(t, s, 3, 1)
		time.Sleep(idleTimeout - 2*time.Second)
		wantConnections(t, s, 3, 1)
		time.Sleep(2 * time.Second)
		wantConnections(t, s, 3, 0)
		wantOK(t, c)
		wantConnections(t, s, 4, 1)
	})
}

func TestTheClientKnowsHowManyRequestsTheServerTakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		http2                                  bool
		streams                                int
		connected, answered, answeredWithOther int
	}{
		"HTTP/1.1":     {false, 0, 8, 8, 8},
		"1,000":        {true, 1000, 8000, 8000, 8000},
		"few":          {true, 100, 0, 800, 800}, // as net/http assumes until the server has announced its limit
		"one":          {true, 1, 0, 0, 8},       // APNs announces more after the first answer
		"net/http's":   {true, 0, 2000, 2000, 2000},
		"just too few": {true, 101, 808, 808, 808},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := pipedClient(t, pipetest.New(t, test.http2, ok, streams(test.streams)))
				want := func(n int) {
					t.Helper()
					synctest.Wait()
					if got := c.Concurrency(); got != n {
						t.Errorf("it is %d, want %d", got, n)
					}
				}
				want(0)
				connect(t, c)
				want(test.connected)
				wantOK(t, c)
				want(test.answered)
				wantOK(t, c)
				want(test.answeredWithOther)
				c.connections.renew() // what is known stays known
				want(test.answeredWithOther)
			})
		})
	}
	if n := (*Client)(nil).Concurrency(); n != 0 {
		t.Errorf("without a client, it is %d", n)
	}
}

// Guards against a version of net/http that assumes more before the server has announced its limit. APNs' limit is then one.
func TestNothingIsKnownBeforeTheServerHasAnnouncedIt(t *testing.T) {
	t.Parallel()
	ca := providertest.NewCA(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{ca.Certificate(t, "127.0.0.1")}, NextProtos: []string{http2},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, _ = io.Copy(io.Discard, conn) // it never announces anything
			_ = conn.Close()
		}
	}()
	c := newClient(t, "https://"+listener.Addr().String(), ca.File)
	connect(t, c)
	c.connections.mu.Lock()
	defer c.connections.mu.Unlock()
	if conn := c.connections.open[0]; !conn.free() || conn.known || conn.limit() != 0 {
		t.Errorf("%d streams are available, known: %v", conn.Available(), conn.known)
	}
}
