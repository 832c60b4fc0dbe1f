package endpoint

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddypki"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestTheOperatorsOwnPushServerMayStandInAPrivateNetwork(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	port := portOfServer(t, server)
	tests := []struct {
		name, endpoint string
		site           providers.Site
		kind           providers.Kind
	}{
		{"host and port are the site's", "https://localhost:PORT/", providers.Site{Host: "localhost", Port: port}, providers.KindDelivered},
		{"in capitals, too", "https://LOCALHOST:PORT/", providers.Site{Host: "localhost", Port: port}, providers.KindDelivered},
		{"an address, too", "https://127.0.0.1:PORT/", providers.Site{Host: "127.0.0.1", Port: port}, providers.KindDelivered},
		{"the port is another's", "https://localhost:PORT/", providers.Site{Host: "localhost", Port: "443"}, providers.KindDropped},
		{"the port is not known", "https://localhost:PORT/", providers.Site{Host: "localhost"}, providers.KindDropped},
		{"the host is another's", "https://localhost:PORT/", providers.Site{Host: "push.example", Port: port}, providers.KindDropped},
		{"the host is not proved", "https://localhost:PORT/", providers.Site{Port: port}, providers.KindDropped},
		{"the host is a part of the site's", "https://localhost:PORT/", providers.Site{Host: "a.localhost", Port: port}, providers.KindDropped},
		{"the site is in the path", "https://127.0.0.1:PORT/localhost", providers.Site{Host: "localhost", Port: port}, providers.KindDropped},
		{"the site is in the query", "https://127.0.0.1:PORT/?@localhost", providers.Site{Host: "localhost", Port: port}, providers.KindDropped},
		{"the site is the admin endpoint", "https://localhost:2019/", providers.Site{Host: "localhost", Port: "2019"}, providers.KindDropped},
		{"the site is at a port of another protocol", "https://localhost:22/", providers.Site{Host: "localhost", Port: "22"}, providers.KindDropped},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}})
			if o := post(t.Context(), t, c, at(t, server, test.endpoint), test.site); o.Kind != test.kind {
				t.Errorf("the outcome is %s (%s, %v), want %s", o.Kind, o.Reason, o.Err, test.kind)
			}
		})
	}
}

func TestAConnectionToTheOwnSiteServesNoOther(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}})
	own := providers.Site{Host: "127.0.0.1", Port: portOfServer(t, server)}
	want(t, post(t.Context(), t, c, server.URL, own), providers.KindDelivered, "delivered")
	want(t, post(t.Context(), t, c, server.URL, providers.Site{Host: "push.example", Port: own.Port}), providers.KindDropped, "blocked")
	want(t, post(t.Context(), t, c, server.URL, own), providers.KindDelivered, "delivered")
	wantConnections(t, server, 1)
}

func TestTheOwnSitesCertificateIsVerified(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	c := newClient(t, Options{Options: network.Options{TrustedCA: providertest.NewCA(t).File}})
	own := providers.Site{Host: "127.0.0.1", Port: portOfServer(t, server)}
	want(t, post(t.Context(), t, c, server.URL, own), providers.KindRetry, "tls")
}

func TestTheOwnSiteMayHaveACertificateOfCaddysOwnAuthority(t *testing.T) {
	t.Parallel()
	ctx := newContext(t, caddy.ModuleMap{"pki": json.RawMessage(`{"certificate_authorities": {"local": {"install_trust": false}}}`)})
	app, err := ctx.App("pki")
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(ctx, &Options{Options: network.Options{Proxy: "none"}, AllowPrivate: []string{"127.3.2.1"}}) // not shared
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Start()
	root := app.(*caddypki.PKI).CAs["local"].RootCertificate()
	if _, err := root.Verify(x509.VerifyOptions{Roots: c.transports.ownRoots.Load()}); err != nil {
		t.Errorf("the own site's: %v", err)
	}
	if c.transports.guarded.TLSClientConfig.RootCAs != nil {
		t.Error("others may have one, too")
	}
}

// An app's pushes must not use a connection that another app's options allowed: past its proxy, to a server whose certificate it does
// not trust, or into a network that it does not list.
func TestAConnectionServesNoAppOfOtherOptions(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	proxy := newConnectProxy(t, server.Listener.Addr().String())
	laxer := Options{Options: network.Options{TrustedCA: server.CAFile, Proxy: "none"}, AllowPrivate: []string{"127.0.0.1"}}
	want(t, post(t.Context(), t, newClient(t, laxer), server.URL, providers.Site{}), providers.KindDelivered, "delivered")
	for name, test := range map[string]struct {
		change func(*Options)
		kind   providers.Kind
		reason string
	}{
		"another trusted_ca":    {func(o *Options) { o.TrustedCA = providertest.NewCA(t).File }, providers.KindRetry, "tls"},
		"no trusted_ca":         {func(o *Options) { o.TrustedCA = "" }, providers.KindRetry, "tls"},
		"a proxy":               {func(o *Options) { o.Proxy = proxy.URL }, providers.KindRetry, "tls"}, // the certificate is for another name
		"another allow_private": {func(o *Options) { o.AllowPrivate = []string{"127.0.0.2"} }, providers.KindDropped, "blocked"},
	} {
		o, to := laxer, server.URL
		if test.change(&o); o.Proxy != "none" {
			to = "https://push.example/" // the proxy never gets requests for plainly private hosts
		}
		if got := post(t.Context(), t, newClient(t, o), to, providers.Site{}); got.Kind != test.kind || got.Reason != test.reason {
			t.Errorf("with %s, the outcome is %+v", name, got)
		}
	}
	if proxy.mu.Lock(); len(proxy.asked) != 1 {
		t.Errorf("the proxy was asked for %q", proxy.asked)
	}
	proxy.mu.Unlock()
}

func TestConnectionsOutliveAConfiguration(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	var last *Client
	for range 3 {
		next, err := NewClient(newContext(t, nil), &Options{Options: network.Options{TrustedCA: server.CAFile, Proxy: "none"}, AllowPrivate: []string{"127.0.0.1"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := last.Close(); err != nil {
			t.Fatal(err)
		}
		want(t, post(t.Context(), t, next, server.URL, providers.Site{}), providers.KindDelivered, "delivered")
		last = next
	}
	wantConnections(t, server, 1)
	if err := last.Close(); err != nil {
		t.Fatal(err)
	}
	if _, used := pool.References(last.key); used {
		t.Error("the transports are still held")
	}
}

func TestOtherOptionsHaveOtherConnections(t *testing.T) {
	t.Parallel()
	base := Options{Options: network.Options{Proxy: "none"}, AllowPrivate: []string{"127.4.3.2"}}
	seen := map[string]bool{}
	for _, o := range []Options{
		base,
		{Options: network.Options{Proxy: "http://127.0.0.1:3128"}, AllowPrivate: base.AllowPrivate},
		{Options: network.Options{Proxy: "none"}, AllowPrivate: []string{"127.4.3.3"}},
		{Options: network.Options{Proxy: "none", TrustedCA: providertest.NewCA(t).File}, AllowPrivate: base.AllowPrivate},
	} {
		seen[newClient(t, o).key] = true
	}
	if len(seen) != 4 {
		t.Errorf("there are %d keys", len(seen))
	}
	first, second := newClient(t, base), newClient(t, base)
	if first.key != second.key {
		t.Error("the same options have two keys")
	}
}

func TestANilClientCloses(t *testing.T) {
	t.Parallel()
	var c *Client
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// Guards against a mistake of ntfy and common-proxies: they left answers unread or open, so each push made a connection.
func TestRegressionNtfyAnswersAreReadAndConnectionsReused(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0, 1, maxResponse - 1, maxResponse} {
		server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write(bytes.Repeat([]byte{'x'}, length))
		}))
		c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
		for range 5 {
			want(t, post(t.Context(), t, c, server.URL, providers.Site{}), providers.KindRetry, "server_error")
		}
		wantConnections(t, server, 1)
	}
}

func TestAnEndlessAnswerIsCutOff(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for chunk := make([]byte, 16<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
	want(t, post(t.Context(), t, c, server.URL, providers.Site{}), providers.KindDelivered, "delivered")
}

func TestEndlessHeadersAreForLater(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 64<<10))
		w.WriteHeader(http.StatusGone)
	}))
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
	if o := post(t.Context(), t, c, server.URL, providers.Site{}); o.Kind != providers.KindRetry {
		t.Errorf("the outcome is %+v", o)
	}
}

func TestOneHostGetsABoundedNumberOfRequests(t *testing.T) {
	t.Parallel()
	const surplus = 40
	var running, most atomic.Int64
	arrived, release := make(chan struct{}, hostRunning+hostWaiting), make(chan struct{})
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		arrived <- struct{}{}
		<-release
		w.WriteHeader(http.StatusCreated)
	}))
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
	outcomes := make(chan providers.Outcome)
	var group sync.WaitGroup
	for range hostRunning + hostWaiting + surplus {
		group.Go(func() { outcomes <- post(t.Context(), t, c, server.URL, providers.Site{}) })
	}
	for range surplus {
		o := <-outcomes
		want(t, o, providers.KindRetry, "host_busy")
		if o.Cause != providers.CauseGateway {
			t.Errorf("the cause is %d: the push server was not asked", o.Cause)
		}
	}
	for range hostRunning {
		<-arrived
	}
	close(release)
	for range hostRunning + hostWaiting {
		want(t, <-outcomes, providers.KindDelivered, "delivered")
	}
	group.Wait()
	if most.Load() != hostRunning {
		t.Errorf("%d requests ran at a time, want %d", most.Load(), hostRunning)
	}
	if len(c.hosts.m) != 0 {
		t.Errorf("%d hosts are remembered", len(c.hosts.m))
	}
}

func TestWhoLosesPatienceLeavesTheQueueOfItsHostAndNoOther(t *testing.T) {
	t.Parallel()
	var h hosts
	for range hostRunning {
		_, connected, err := h.acquire(t.Context(), "busy.example:443")
		if err != nil {
			t.Fatal(err)
		}
		if connected != nil {
			connected()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, _, err := h.acquire(ctx, "busy.example:443")
		left <- err
	}()
	for inLine := 0; inLine != hostRunning+1; runtime.Gosched() {
		h.mu.Lock()
		inLine = h.m["busy.example:443"].users
		h.mu.Unlock()
	}
	cancel()
	if err := <-left; !errors.Is(err, errInLine) {
		t.Errorf("got %v", err)
	}
	if _, _, err := h.acquire(ctx, "busy.example:443"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release, _, err := h.acquire(t.Context(), "idle.example:443")
	if err != nil {
		t.Fatal(err)
	}
	release()
	if len(h.m) != 1 || h.m["busy.example:443"].users != hostRunning {
		t.Errorf("the hosts are %v", h.m)
	}
}

// Each spelling with its own share would give a stranger one more share.
func TestAHostIsOneHowEverItIsWritten(t *testing.T) {
	t.Parallel()
	for want, spellings := range map[string][]string{
		"push.example:443": {
			"https://push.example/a", "https://PUSH.example:443/b", "https://pUsh.Example.:443", "https://push.example:/?c",
			"https://push.example:0443", "https://push.example:0000000000443/", "https://ｐｕｓｈ.example", "https://push。example/",
		},
		"push.example:8443":      {"https://push.example:8443", "https://push.example.:08443"},
		"xn--bcher-kva.test:443": {"https://bücher.test", "https://BÜCHER.test:443", "https://xn--bcher-kva.test", "https://XN--BCHER-KVA.test."},
		"9.9.9.9:443":            {"https://9.9.9.9", "https://９.９.９.９", "https://[::ffff:9.9.9.9]", "https://[::FFFF:909:0909]:0443"},
		"[2620:fe::9]:443":       {"https://[2620:fe::9]", "https://[2620:FE:0:0:0:0:0:9]:443", "https://[2620:00fe::0.0.0.9]:0443"},
		"[2620:fe::9]:8443":      {"https://[2620:fe::9]:8443", "https://[2620:0fe::0009]:008443"},
	} {
		for _, raw := range spellings {
			endpoint, err := Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if limited, broken := hostName(endpoint), Host(raw); limited != want || broken != want {
				t.Errorf("%s is %s to the limiter and %s to the breaker, want %s", raw, limited, broken, want)
			}
		}
	}
}

// The request goes to the host that was checked.
func TestAnEndpointHasOneSpelling(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://Push.Example:443/A%2fb?C=d": "https://push.example/A%2fb?C=d",
		"https://push.example.:08443/a":      "https://push.example.:8443/a", // the dot may matter to the resolver
		"https://１２７.０.０.１/a":                "https://127.0.0.1/a",
		"https://[::ffff:127.0.0.1]:02019/a": "https://127.0.0.1:2019/a",
		"https://[FE80::1%25lo]:443/a":       "https://[fe80::1%25lo]/a",
		"https://push.example:00000/a":       "https://push.example:0/a",
		"https://a\u200db.example/a":         "https://a\u200db.example/a", // cannot be looked up, so it is not another name
	} {
		endpoint, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if want, err = url.PathUnescape(want); err != nil {
			t.Fatal(err)
		}
		if got, _ := url.PathUnescape(endpoint.String()); got != want {
			t.Errorf("%s becomes %s, want %s", raw, got, want)
		}
	}
}

func TestARelayGetsEveryPushAtTheEndpointsOwnPath(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Method + " " + r.RequestURI + " " + string(body)
		w.WriteHeader(http.StatusCreated)
	}))
	c := newClient(t, Options{Options: network.Options{Endpoint: server.URL, TrustedCA: server.CAFile}})
	want(t, post(t.Context(), t, c, "https://push.example/a/b%2Fc?d=e", providers.Site{}), providers.KindDelivered, "delivered")
	if request := <-got; request != "POST /a/b%2Fc?d=e {}" {
		t.Errorf("the relay got %s", request)
	}
	want(t, post(t.Context(), t, c, "https://push.example:22/", providers.Site{}), providers.KindDropped, "blocked")
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

// A server written in Go answers 200 when a handler returns because its client has gone. Once in 25 runs of a test, that was read.
func TestAnAnswerAfterTheDeadlineIsNone(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
	late := &slow{Context: t.Context()}
	ctx := httptrace.WithClientTrace(late, &httptrace.ClientTrace{GotFirstResponseByte: func() { late.over.Store(true) }})
	if o := post(ctx, t, c, server.URL, providers.Site{}); o.Kind != providers.KindRetry || o.Reason != "timeout" || o.Cause != providers.CauseNetwork {
		t.Errorf("the outcome is %+v", o)
	}
	want(t, post(t.Context(), t, c, server.URL, providers.Site{}), providers.KindDelivered, "delivered")
}
