package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	reloadInterval = 50 * time.Millisecond
	reloadClients  = 64
)

// reloads returns how often the configuration changes under load. E2E_RELOADS=200 makes it 200 times, which take 10 s.
func reloads() int { return envNumber("E2E_RELOADS", 40) }

// reloadUnderLoad changes one value of the configuration every 50 ms.
func reloadUnderLoad(t *testing.T, p *process) {
	t.Helper()
	tick := time.NewTicker(reloadInterval)
	defer tick.Stop()
	for i := range reloads() {
		// Each reload replaces the admin API's listener, too, and the next request may wait at the old one.
		err := p.set("apps/matrix_push/apps/org.example.up/ttl", fmt.Sprintf(`"%dh"`, 1+i%20))
		for range 3 {
			if err == nil || !errors.Is(err, io.EOF) {
				break
			}
			err = p.set("apps/matrix_push/apps/org.example.up/ttl", fmt.Sprintf(`"%dh"`, 1+i%20))
		}
		if err != nil {
			t.Errorf("reload %d: %v", i, err)
		}
		<-tick.C
	}
}

func TestReloadsUnderHTTP2LoadFailNoRequest(t *testing.T) {
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory"), "matrix_push")
	connection := gateway.client(true) // one homeserver, whose requests share a connection
	clients := newTraffic(t, service, gateway.url(), func() *http.Client { return connection }, reloadClients)
	clients.while(func() {}) // everything is connected and warm
	before := gateway.footprint()

	clients.while(func() { reloadUnderLoad(t, gateway) })

	failed, answered := clients.failures()
	t.Logf("%d reloads, %d notifications answered, %d requests failed", reloads(), answered, len(failed))
	for _, err := range failed {
		t.Errorf("a request got no answer: %v", err)
	}
	clients.check()
	gateway.returnsTo(before)
}

// Plain Caddy resets some HTTP/1.1 connections when it reloads: it closes an idle one while a request is on its way. The
// gateway must not add to that.
func TestReloadsUnderHTTP1LoadFailNoMoreRequestsThanPlainCaddy(t *testing.T) {
	service := newPushServer(t)
	p := newProcess(t)
	p.start(gatewayConfig(service.global("rejected memory"), "matrix_push") +
		"https://other.test:{port2} {\n" + certificate + "\nrespond 200\n}\n")
	clients := newTraffic(t, service, p.url(), func() *http.Client { return p.client(false) }, reloadClients/2)
	plain := &plainTraffic{url: "https://other.test:" + strconv.Itoa(p.port2), process: p}
	clients.while(func() {})
	before := p.footprint()

	clients.while(func() { plain.while(t.Context(), reloadClients/2, func() { reloadUnderLoad(t, p) }) })

	failed, answered := clients.failures()
	rate, plainRate := perReload(len(failed)), perReload(int(plain.failed.Load()))
	t.Logf("gateway: %d answered, %d failed (%.2f a reload); plain Caddy: %d answered, %d failed (%.2f a reload)",
		answered, len(failed), rate, plain.answered.Load(), plain.failed.Load(), plainRate)
	if rate > plainRate+luck() {
		t.Errorf("%.2f requests failed at each reload, and %.2f of plain Caddy's", rate, plainRate)
	}
	clients.check()
	p.returnsTo(before)
}

// luck returns the difference that chance explains. Whether a connection is idle at the wrong moment is a coin toss for each of 32 clients
// at each reload. The result is three standard deviations of the difference of two means.
func luck() float64 { return 3 * math.Sqrt(2*reloadClients/2*0.25/float64(reloads())) }

func perReload(n int) float64 { return float64(n) / float64(reloads()) }

// plainTraffic sends requests to a site without a gateway, as a comparison.
type plainTraffic struct {
	url              string
	process          *process
	answered, failed atomic.Int64
}

func (pt *plainTraffic) while(ctx context.Context, clients int, during func()) {
	var wg sync.WaitGroup
	var over atomic.Bool
	for range clients {
		client := pt.process.client(false)
		wg.Go(func() {
			defer client.CloseIdleConnections() // only the gateway's are counted afterwards
			for !over.Load() {
				req, _ := http.NewRequestWithContext(ctx, http.MethodPost, pt.url, strings.NewReader(alert("$1")))
				resp, err := send(client, req)
				switch {
				case errors.Is(err, errNotConnected):
					continue
				case err != nil:
					pt.failed.Add(1)
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				pt.answered.Add(1)
			}
		})
	}
	during()
	over.Store(true)
	wg.Wait()
}

func TestAFailedReloadChangesNothing(t *testing.T) {
	t.Parallel()
	s, config := newSceneOf(t, "rejected file {dir}/rejected.db")
	service, gateway, hs := s.service, s.gateway, s.hs
	alive, dead := service.Endpoint("alive"), service.Subscribe()
	service.Answer(dead.Path, answerGone)
	if r := hs.notify(alert("$1", webPushDevice(dead))); len(r.Rejected) != 1 {
		t.Fatalf("answered %d %s", r.Status, r.Body)
	}
	service.Answer(dead.Path)

	for name, bad := range map[string]string{
		"an option of ours is wrong":              strings.Replace(config, "wait 20s", "wait 26s", 1),
		"another app's module is unknown":         strings.Replace(config, "grace_period 10s", "servers { listener_wrappers { nonsense } }", 1),
		"another app fails to start":              config + "https://other.test:{port2} {\n bind 192.0.2.1\n" + certificate + "\nrespond 200\n}\n",
		"our store cannot be opened":              strings.Replace(config, "{dir}/rejected.db", "{dir}/cert.pem", 1),
		"another app fails, and our store is new": strings.Replace(config, "{dir}/rejected.db", "{dir}/other.db", 1) + "https://other.test:{port2} {\n bind 192.0.2.1\n" + certificate + "\nrespond 200\n}\n",
	} {
		if err := gateway.load(bad); err == nil {
			t.Errorf("%s: the load succeeds", name)
		}
		r := hs.notify(alert("$"+name, upDevice(alive), webPushDevice(dead)))
		if r.Status != http.StatusOK || len(r.Rejected) != 1 || r.Rejected[0] != dead.P256dh {
			t.Errorf("%s: answered %d %s", name, r.Status, r.Body)
		}
	}
	if n := len(service.Messages(alive)); n != 5 {
		t.Errorf("%d of 5 notifications arrived", n)
	}
}
