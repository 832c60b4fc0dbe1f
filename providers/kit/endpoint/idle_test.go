package endpoint

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/internal/batched"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/pipetest"
)

func TestAnIdleConnectionIsClosedAfterAWhile(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := pipetest.New(t, http2, created)
				transport := newTransport(batched.Dial(s.Dial), s.Roots)
				t.Cleanup(transport.CloseIdleConnections)
				for made := range int64(2) {
					for range 3 {
						req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.com/", http.NoBody)
						if err != nil {
							t.Fatal(err)
						}
						resp, err := transport.RoundTrip(req)
						if err != nil {
							t.Fatal(err)
						}
						_ = resp.Body.Close()
						time.Sleep(89 * time.Second)
						if synctest.Wait(); s.Made.Load() != made+1 || s.Open.Load() != 1 {
							t.Fatalf("%d connections were made, and %d are open", s.Made.Load(), s.Open.Load())
						}
					}
					time.Sleep(time.Second)
					if synctest.Wait(); s.Open.Load() != 0 {
						t.Fatal("the idle connection is still open")
					}
				}
			})
		})
	}
}
