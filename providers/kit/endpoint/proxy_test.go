package endpoint

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/test/sockstest"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// connectProxy is a proxy that connects every host to one address.
type connectProxy struct {
	*httptest.Server
	target string

	mu    sync.Mutex
	asked []string
	conns []net.Conn
	group sync.WaitGroup
}

func newConnectProxy(t *testing.T, target string) *connectProxy {
	t.Helper()
	p := &connectProxy{target: target}
	p.group.Add(1) // until Cleanup, so Wait never runs beside the group's first Add
	p.Server = httptest.NewServer(p)
	t.Cleanup(func() {
		p.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			_ = conn.Close()
		}
		p.mu.Unlock()
		p.group.Done()
		p.group.Wait()
	})
	return p
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusOK)
	client, begun, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = server.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	relay := func(to net.Conn, from io.Reader) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}
	p.group.Go(func() { relay(server, begun) }) // part of what the client sent was already read
	p.group.Go(func() { relay(client, server) })
}

func (p *connectProxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func TestAProxyIsSentThroughAndResolvesNames(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created, "push.example")
	proxy := newConnectProxy(t, server.Listener.Addr().String())
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile, Proxy: proxy.URL}})
	want(t, post(t.Context(), t, c, "https://push.example/secret", providers.Site{}), providers.KindDelivered, "delivered")
	if asked := proxy.requests(); len(asked) != 1 || asked[0] != "CONNECT push.example:443" {
		t.Errorf("the proxy was asked for %q", asked)
	}
}

// Guards against the report git-lfs#3677, where socks5h was refused.
func TestASOCKSProxyResolvesNames(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"socks5", "socks5h"} {
		server := providertest.NewTLSServer(t, created, "push.example", "abcdefgh.onion", "9.9.9.9")
		proxy := sockstest.New(t, server.Listener.Addr().String())
		c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile, Proxy: scheme + "://user:pass@" + proxy.Addr().String()}})
		for _, host := range []string{"push.example", "abcdefgh.onion", "9.9.9.9:8443"} {
			want(t, post(t.Context(), t, c, "https://"+host+"/secret", providers.Site{}), providers.KindDelivered, "delivered")
		}
		want(t, post(t.Context(), t, c, "https://10.0.0.1/", providers.Site{}), providers.KindDropped, "blocked")
		asked := strings.Join(proxy.Asked(), ", ")
		if asked != "user:pass name push.example:443, user:pass name abcdefgh.onion:443, user:pass address 9.9.9.9:8443" {
			t.Errorf("%s: the proxy was asked for %s", scheme, asked)
		}
	}
}

func TestAProxyIsNotAskedForWhatIsPlainlyPrivate(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	proxy := newConnectProxy(t, server.Listener.Addr().String())
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile, Proxy: proxy.URL}})
	for _, endpoint := range []string{
		"https://127.0.0.1/", "https://10.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://[fe80::1%25eth0]/",
		"https://[64:ff9b::7f00:1]/", "https://localhost:2019/", "https://push.example:2019/", "https://push.example:25/",
		"https://push.example:02019/", "https://127.0.0.1./", "https://１２７.０.０.１/", "https://[2620:fe::5efe:a00:1]/",
		"https://localhost/", "https://LOCALHOST./", "https://a.localhost/", "https://2130706433/", "https://0x7f000001/", "https://0X7f.1/",
		"https://127.1/", "https://0177.0.0.1/", "https://0x/", "https://10.0.0.1.1/",
	} {
		want(t, post(t.Context(), t, c, endpoint, providers.Site{}), providers.KindDropped, "blocked")
	}
	if asked := proxy.requests(); len(asked) != 0 {
		t.Errorf("the proxy was asked for %q", asked)
	}
}

func TestAProxyIsAskedForWhatIsAllowedAndForNames(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created, "127.0.0.1", "a.localhost", "10.example", "x0x1", "9.9.9.9")
	proxy := newConnectProxy(t, server.Listener.Addr().String())
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile, Proxy: proxy.URL}, AllowPrivate: []string{"127.0.0.1"}})
	for _, endpoint := range []string{"https://127.0.0.1/", "https://a.localhost/", "https://10.example/", "https://x0x1/", "https://9.9.9.9/"} {
		want(t, post(t.Context(), t, c, endpoint, providers.Site{}), providers.KindDelivered, "delivered")
	}
}

func TestAProxyThatFailsIsForLater(t *testing.T) {
	t.Parallel()
	gone := providertest.NewTLSServer(t, created)
	gone.Close()
	proxy := newConnectProxy(t, gone.Listener.Addr().String())
	c := newClient(t, Options{Options: network.Options{Proxy: proxy.URL}})
	o := post(t.Context(), t, c, "https://push.example/secret", providers.Site{})
	want(t, o, providers.KindRetry, "network")
	wantNoSecret(t, o)
}

func TestTheEnvironmentsProxyIsUsedUnlessTheOptionSaysNone(t *testing.T) {
	t.Parallel()
	endpoint, err := Parse("https://push.example/")
	if err != nil {
		t.Fatal(err)
	}
	for option, used := range map[string]string{"": proxyOfEnvironment, "none": "", "http://other.invalid:3128": "http://other.invalid:3128"} {
		s, err := (&Options{Options: network.Options{Proxy: option}}).resolve()
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Proxy(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if (got == nil) != (used == "") || (got != nil && got.String() != used) {
			t.Errorf("with %q, the proxy is %v, want %q", option, got, used)
		}
		g := newGuard(nil, nil, nil)
		c := &Client{settings: s, guard: g, transports: newTransports(s, g)}
		way, _, err := c.way(endpoint, providers.Site{})
		if err != nil {
			t.Fatal(err)
		}
		if (way == c.transports.guarded) != (used == "") {
			t.Errorf("with %q, the request takes the wrong way", option)
		}
	}
}

// Where devices choose the host, a failure is the host's, unless the operator's proxy causes it.
func TestAProxyThatDoesNotWorkIsNotTheHostsFault(t *testing.T) {
	t.Parallel()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	t.Cleanup(refusing.Close)
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	t.Cleanup(failing.Close)
	for name, tt := range map[string]struct {
		proxy string
		want  bool
	}{
		"nothing listens there":         {"http://127.0.0.1:1", true},
		"nor for SOCKS":                 {"socks5://user:secret@127.0.0.1:1", true},
		"it refuses the login":          {strings.Replace(refusing.URL, "http://", "http://user:secret@", 1), true},
		"it does not speak TLS":         {strings.Replace(failing.URL, "http://", "https://", 1), true},
		"it says that the host is down": {failing.URL, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, Options{Options: network.Options{Proxy: tt.proxy}})
			o := post(t.Context(), t, c, "https://push.example/secret", providers.Site{})
			if o.Proxy != tt.want || o.Err == nil || strings.Contains(o.Err.Error(), "secret") || strings.Contains(o.Err.Error(), "the proxy does not work: ") != tt.want {
				t.Errorf("the outcome is %+v", o)
			}
		})
	}
}
