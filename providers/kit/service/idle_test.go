package service

import (
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/batched"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/pipetest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
)

// pipedClient returns a client of a server without a network, for a synctest bubble.
func pipedClient(t *testing.T, s *pipetest.Server) *Client {
	t.Helper()
	settings := &network.Settings{Roots: s.Roots, Proxy: func(*url.URL) (*url.URL, error) { return nil, nil }}
	transport := newTransport(Options{Settings: settings})
	transport.DialContext = batched.Dial(s.Dial)
	c := &Client{host: "example.com", connections: &connections{dial: dialer(transport, "example.com:443")}}
	t.Cleanup(c.connections.retire)
	return c
}

func TestAnIdleConnectionIsClosedAfterAWhileAndNotWhileItIsUsed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		http2   bool
		timeout time.Duration
	}{
		"HTTP/1.1": {false, time.Minute},
		"HTTP/2":   {true, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := pipetest.New(t, test.http2, ok)
				c := pipedClient(t, s)
				want := func(made, open int64) {
					t.Helper()
					synctest.Wait()
					if s.Made.Load() != made || s.Open.Load() != open {
						t.Fatalf("%d connections were made, and %d are open, want %d and %d", s.Made.Load(), s.Open.Load(), made, open)
					}
				}
				for range 3 {
					wantOK(t, c)
					time.Sleep(test.timeout - time.Second)
					want(1, 1)
				}
				time.Sleep(time.Second)
				want(1, 0)
				wantOK(t, c)
				want(2, 1)
				c.Renew()
				connect(t, c) // in advance, and unused
				time.Sleep(test.timeout - time.Second)
				want(3, 1)
				time.Sleep(time.Second)
				want(3, 0)
				wantOK(t, c)
				want(4, 1)
			})
		})
	}
}

func TestAConnectionIsNotIdleWhileARequestTakesLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := pipetest.New(t, false, func(http.ResponseWriter, *http.Request) { time.Sleep(10 * spareTimeout) })
		c := pipedClient(t, s)
		wantOK(t, c)
		wantOK(t, c)
		if n := s.Made.Load(); n != 1 {
			t.Errorf("%d connections were made", n)
		}
	})
}
