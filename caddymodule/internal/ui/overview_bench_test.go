package ui

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/sync/errgroup"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/admin"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/limit"
	outboxfile "github.com/matrix-push/caddy-matrix-push/outbox/file"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/rejected"
	rejectedfile "github.com/matrix-push/caddy-matrix-push/rejected/file"
)

// BenchmarkOverview compares the overview of a gateway with 200 apps and a million records with what the command status asks for, for the
// same gateway. With -short, there are a thousand records.
func BenchmarkOverview(b *testing.B) {
	records := 1_000_000
	if testing.Short() {
		records = 1000
	}
	api := largeGateway(b, 200, records)
	b.Run("status", func(b *testing.B) {
		for b.Loop() {
			var o admin.Overview
			if _, err := api.Get(b.Context(), "apps", nil, &o); err != nil || len(o.Apps) != 200 || *o.Records != records {
				b.Fatal(err, len(o.Apps), o.Records)
			}
		}
	})
	b.Run("page", func(b *testing.B) {
		page := httptest.NewUnstartedServer(nil)
		p := New(api, page.Listener.Addr().String(), time.Now)
		page.Config.Handler = p
		page.Start()
		b.Cleanup(page.Close)
		jar, err := cookiejar.New(nil)
		if err != nil {
			b.Fatal(err)
		}
		browser := &http.Client{Jar: jar}
		load := func(address string) int64 {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address, nil)
			if err != nil {
				b.Fatal(err)
			}
			resp, err := browser.Do(r)
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Fatal(resp, err)
			}
			defer resp.Body.Close()
			n, err := io.Copy(io.Discard, resp.Body)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
		load(p.URL())
		var size int64
		for b.Loop() {
			size = load(p.origin() + p.inside("/"))
		}
		b.ReportMetric(float64(size), "B/page")
	})
}

// mute is an observer that ignores everything.
type mute struct{ gateway.Observer }

func (mute) Attempted(gateway.Attempt) {}

func (mute) Answered(*gateway.App, gateway.Result) {}

func (mute) AppRecovered(*gateway.App) {}

// accepting is a provider that delivers every push.
type accepting struct{}

func (accepting) Push(context.Context, *providers.Push) providers.Outcome {
	return providers.Delivered()
}

// largeGateway serves the admin API of a gateway with these numbers of apps and of records. It delivered a push for each app in each minute
// of the last hour.
func largeGateway(b *testing.B, apps, records int) API {
	b.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: b.Context()})
	b.Cleanup(cancel)
	store := &rejectedfile.Store{Path: filepath.Join(b.TempDir(), "rejected.db")}
	box := &outboxfile.Box{Path: filepath.Join(b.TempDir(), "outbox.db")}
	for _, s := range []interface {
		caddy.Provisioner
		caddy.CleanerUpper
		Open(context.Context) error
	}{store, box} {
		if err := s.Provision(ctx); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Cleanup() })
		if err := s.Open(ctx); err != nil {
			b.Fatal(err)
		}
	}
	var group errgroup.Group
	group.SetLimit(4096) // the store writes those that come together at once
	for i := range records {
		group.Go(func() error {
			return store.Reject(ctx, rejected.KeyOf("app", fmt.Sprint(i)), rejected.Verdict{App: "app", Reason: "gone", At: time.Now()})
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}

	list := make([]*gateway.App, apps)
	for i := range list {
		list[i] = &gateway.App{
			Pattern: fmt.Sprintf("org.example.app%03d", i), ProviderName: "fake", Provider: accepting{}, TTL: time.Hour, Wait: time.Minute,
			Badges: providers.BadgesOn, Limit: limit.NewFair(8, 8),
		}
	}
	router, err := gateway.NewRouter(list)
	if err != nil {
		b.Fatal(err)
	}
	var later atomic.Int64
	g := gateway.New(gateway.Options{
		Router: router, Rejected: store, Outbox: box, Fuse: gateway.FuseOptions{Share: 0.5, Window: time.Hour}, Shared: gateway.NewShared(),
		Observer: mute{}, Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
		Jitter: func(time.Duration) time.Duration { return 0 },
	})
	for minute := range 60 {
		later.Store(int64(minute) * int64(time.Minute))
		for _, app := range list {
			body := fmt.Sprintf(`{"notification":{"event_id":"$%d","room_id":"!r:x","devices":[{"app_id":%q,"pushkey":"key"}]}}`, minute, app.Pattern)
			request, refused := gateway.Decode([]byte(body), 10)
			if refused != nil {
				b.Fatal(refused)
			}
			g.Notify(request, providers.Site{}, func(*gateway.App) bool { return true })
		}
	}
	mux := http.NewServeMux()
	for _, route := range admin.Routes(func() (*gateway.Gateway, error) { return g, nil }) {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := route.Handler.ServeHTTP(w, r); err != nil {
				b.Error(err)
			}
		})
	}
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	to, err := caddy.ParseNetworkAddress(server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	return adminclient.New(to)
}
