package endpoint

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// Guards against a TLS handshake for each request of a burst. The server answers none before all have arrived.
func TestABurstAtAHostWithHTTP2SharesOneConnection(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int64
	all := make(chan struct{})
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == hostRunning {
			close(all)
		}
		select {
		case <-all:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusCreated)
	}))
	for name, test := range map[string]struct {
		options Options
		site    providers.Site
	}{
		"where devices choose the host": {Options{AllowPrivate: []string{"127.0.0.1"}}, providers.Site{}},
		"at the operator's own site":    {Options{}, providers.Site{Host: "127.0.0.1", Port: portOfServer(t, server)}},
		"at the operator's relay":       {Options{Options: network.Options{Endpoint: server.URL}}, providers.Site{}},
	} {
		test.options.TrustedCA, test.options.Proxy = server.CAFile, "none"
		c := newClient(t, test.options)
		before := server.Connections()
		var group sync.WaitGroup
		for range hostRunning {
			group.Go(func() { want(t, post(t.Context(), t, c, server.URL, test.site), providers.KindDelivered, "delivered") })
		}
		group.Wait()
		if n := server.Connections() - before; n != 1 {
			t.Errorf("%s: %d connections were made", name, n)
		}
	}
}

func TestNobodyWaitsLongForTheFirstRequestsConnection(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first func(release, connected func()) // a second later
		waits time.Duration
	}{
		"it is connected":   {func(_, connected func()) { connected() }, time.Second},
		"it fails":          {func(release, _ func()) { release() }, time.Second},
		"it never connects": {func(_, _ func()) {}, leadTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var h hosts
				acquire := func() (release, connected func()) {
					release, connected, err := h.acquire(t.Context(), "h")
					if err != nil {
						t.Fatal(err)
					}
					return release, connected
				}
				release, connected := acquire()
				began := time.Now()
				go func() {
					time.Sleep(time.Second)
					test.first(release, connected)
				}()
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				if _, _, err := h.acquire(ctx, "h"); err == nil {
					t.Error("one did not wait")
				}
				for range 3 {
					_, connected := acquire()
					if took := time.Since(began).Round(time.Second); took != test.waits {
						t.Errorf("it waited %s", took)
					}
					if connected != nil {
						t.Error("others wait for a later request")
					}
				}
			})
		})
	}
}
