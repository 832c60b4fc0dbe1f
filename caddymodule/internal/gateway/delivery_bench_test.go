package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/benchtest"
	"github.com/matrix-push/caddy-matrix-push/outbox"
	"github.com/matrix-push/caddy-matrix-push/outbox/off"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestMain(m *testing.M) {
	benchtest.Serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	os.Exit(m.Run())
}

// BenchmarkDelivery measures a request whose push is delivered at once, over HTTP/2 and TLS, without and with an outbox. An outbox that
// is not needed must cost almost nothing.
func BenchmarkDelivery(b *testing.B) {
	server := benchtest.Start(b)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: server.CA.Pool()}}
	b.Cleanup(transport.CloseIdleConnections)
	post := &scripted{script: func(ctx context.Context, p *providers.Push) providers.Outcome {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, bytes.NewReader(p.Notification.Content))
		if err != nil {
			return providers.Outcome{Err: err}
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return providers.Outcome{Err: err}
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return providers.Delivered()
	}}
	for _, name := range []string{"off", "file"} {
		b.Run(name, func(b *testing.B) {
			app := appFor("app", quiet{post})
			r := newRig(b, app)
			r.use(new(off.Box))
			r.Observer = deaf{}
			if name == "file" {
				r.use(openFile(b, b.TempDir()+"/outbox.db"))
				ctx, stop := context.WithCancel(context.Background())
				defer stop()
				go r.Work(ctx)
			}
			var n atomic.Int64
			benchtest.Run(b, func() error {
				i := n.Add(1)
				request, err := Decode([]byte(event(fmt.Sprint("$", time.Now().UnixNano(), i), device(fmt.Sprint("key", i%1000)))), 1)
				if err != nil {
					return err
				}
				if a := r.Notify(request, providers.Site{}, everything); a.Err != nil {
					return a.Err
				}
				return nil
			})
		})
	}
}

// quiet is a provider that does not remember its pushes.
type quiet struct{ *scripted }

func (q quiet) Push(ctx context.Context, p *providers.Push) providers.Outcome {
	return q.script(ctx, p)
}

// deaf is an observer that does not remember what it saw.
type deaf struct{}

func (deaf) Attempted(Attempt)                     {}
func (deaf) Refused(*App, Refusal)                 {}
func (deaf) Lost(*App, outbox.Loss, int)           {}
func (deaf) Forgot(int)                            {}
func (deaf) Answered(*App, Result)                 {}
func (deaf) BreakerOpened(*App, string)            {}
func (deaf) HostPaused(*App, string)               {}
func (deaf) BreakerClosed(*App, string)            {}
func (deaf) AppFailing(*App, Failing)              {}
func (deaf) AppRecovered(*App)                     {}
func (deaf) FuseTripped(string, string, int, bool) {}
func (deaf) FuseReset(string, string, bool, bool)  {}
func (deaf) StoreFailed(string, error)             {}
func (deaf) Probed(Sighting, bool)                 {}

func BenchmarkDedupe(b *testing.B) {
	b.ReportAllocs()
	var s deliveredSet
	now := time.Now()
	keys := make([]eventKey, 1<<18)
	for i := range keys {
		keys[i] = keyOfEvent(fmt.Sprint("$", i), &providers.Device{AppID: "app", Pushkey: "key"})
	}
	i := 0
	for b.Loop() {
		k := keys[i%len(keys)]
		s.age(24*time.Hour, now)
		if !s.has(k) {
			s.add(k, now)
		}
		i++
	}
}
