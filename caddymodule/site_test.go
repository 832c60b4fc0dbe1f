package caddymodule

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestASiteIsProvedByTheVeryNameThatTheOperatorGaveIt(t *testing.T) {
	t.Parallel()
	sites := func(matchers ...any) caddyhttp.RouteList {
		return caddyhttp.RouteList{{MatcherSets: caddyhttp.MatcherSets{matchers}}}
	}
	hosts := func(names ...string) *caddyhttp.MatchHost {
		m := caddyhttp.MatchHost(names)
		if err := m.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		return &m
	}
	push := sites(hosts("push.example.org"))
	wildcard := sites(hosts("*.wild.example.org", "gw.wild.example.org"))
	byPath := sites(caddyhttp.MatchPath{"/*"})
	nested := caddyhttp.RouteList{{Handlers: []caddyhttp.MiddlewareHandler{&caddyhttp.Subroute{Routes: push}}}}
	many := []string{"*.wild.example.org"}
	for i := range 200 { // Caddy sorts that many
		many = append(many, fmt.Sprintf("n%d.example.org", i))
	}
	tests := []struct {
		name, host, serverName string
		routes                 caddyhttp.RouteList
		want                   string
	}{
		{"its name", "push.example.org:8443", "push.example.org", push, "push.example.org"},
		{"its name in capitals", "Push.Example.ORG", "push.EXAMPLE.org", push, "push.example.org"},
		{"a name that is configured in capitals", "push.example.org", "push.example.org", sites(hosts("PUSH.Example.org")), "push.example.org"},
		{"a name in other letters", "xn--bcher-kva.example", "xn--bcher-kva.example", sites(hosts("Bücher.example")), "xn--bcher-kva.example"},
		{"a name in other letters, as it is written", "bücher.example", "xn--bcher-kva.example", sites(hosts("bücher.example")), ""},
		{"one of many names", "n77.example.org", "n77.example.org", sites(hosts(many...)), "n77.example.org"},
		{"a name beside a wildcard", "gw.wild.example.org", "gw.wild.example.org", wildcard, "gw.wild.example.org"},
		// Finding 7: the owner of each of these names, or a network with its own names, chooses what it resolves to.
		{"a name that a wildcard covers", "priv-10-0-0-5.wild.example.org", "priv-10-0-0-5.wild.example.org", wildcard, ""},
		{"a name that a wildcard among many covers", "priv.wild.example.org", "priv.wild.example.org", sites(hosts(many...)), ""},
		{"the wildcard as it is written", "*.wild.example.org", "*.wild.example.org", wildcard, ""},
		{"a name of another level", "priv.example.org", "priv.example.org", sites(hosts("priv.*.org")), ""},
		{"a name that a placeholder gives", "gw.example.org", "gw.example.org", sites(hosts("{site.name}")), ""},
		{"a name of which a placeholder gives a part", "gw.example.org", "gw.example.org", sites(hosts("{site.label}.example.org")), ""},
		{"the sender's own name, of a placeholder", "stranger.example", "stranger.example", sites(hosts("{http.request.host}")), ""},
		{"a name that the site excludes", "push.example.org", "push.example.org", sites(hosts("push.example.org"), notHost("push.example.org")), ""},
		{"a name that the site only excludes", "push.example.org", "push.example.org", sites(notHost("push.example.org")), ""},
		{"a name of which another path is a site", "push.example.org", "push.example.org", sites(hosts("push.example.org"), caddyhttp.MatchPath{"/up*"}), ""},
		{"a name that is nested in a site", "push.example.org", "push.example.org", nested, ""},
		{"another Host than the TLS server name", "push.example.org", "gw.wild.example.org", append(push, wildcard...), ""},
		{"no TLS server name", "push.example.org", "", push, ""},
		{"a name that the sender chose, at a site for every name", "stranger.example", "stranger.example", caddyhttp.RouteList{{}}, ""},
		{"the same beside a site with a name", "stranger.example", "stranger.example", append(push, caddyhttp.Route{}), ""},
		{"a site that only a path makes", "stranger.example", "stranger.example", byPath, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			replacer := caddy.NewReplacer()
			replacer.Set("site.name", "gw.example.org")
			replacer.Set("site.label", "gw")
			replacer.Set("http.request.host", "stranger.example")
			r := requestTo(tt.host, tt.serverName, tt.routes, replacer)
			want := providers.Site{Host: tt.want, Port: "8443"}
			if tt.want != "" {
				want.Client = "192.0.2.1"
				_, want.PublicPort, _ = strings.Cut(tt.host, ":")
			}
			if got := siteOf(r); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// siteOf is what the handler finds.
func siteOf(r *http.Request) providers.Site {
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return site(r, server)
}

// notHost is a matcher that excludes a host.
func notHost(name string) *caddyhttp.MatchNot {
	return &caddyhttp.MatchNot{MatcherSets: caddyhttp.MatcherSets{{&caddyhttp.MatchHost{name}}}}
}

// requestTo returns a notify request over TLS to a server with these routes, from 192.0.2.1.
func requestTo(host, serverName string, routes caddyhttp.RouteList, replacer *caddy.Replacer) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://"+host+endpoint, nil)
	r.Host = host
	r.TLS = &tls.ConnectionState{ServerName: serverName}
	ctx := context.WithValue(r.Context(), caddyhttp.ServerCtxKey, &caddyhttp.Server{Routes: routes})
	ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, replacer)
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8443})
	return r.WithContext(ctx)
}

func TestTheSitesPublicPortIsTheOneThatTheHostHeaderNames(t *testing.T) {
	t.Parallel()
	push := caddyhttp.RouteList{{MatcherSets: caddyhttp.MatcherSets{{&caddyhttp.MatchHost{"push.example.org"}}}}}
	for _, tt := range []struct{ name, host, want string }{
		{"none", "push.example.org", ""},
		{"the one it came in at", "push.example.org:8443", "8443"},
		{"one that a container maps", "push.example.org:443", "443"},
		{"with zeros", "push.example.org:0443", "443"},
		{"an empty one", "push.example.org:", ""},
		{"0", "push.example.org:0", ""},
		{"not a port", "push.example.org:65536", ""},
		{"not a number", "push.example.org:https", ""},
		{"one of a host that is not the site's", "stranger.example:8443", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := requestTo("push.example.org", "push.example.org", push, caddy.NewReplacer())
			r.Host = tt.host
			if got := siteOf(r); got.PublicPort != tt.want || got.Port != "8443" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestTheSenderIsWhomCaddyKnows(t *testing.T) {
	t.Parallel()
	push := caddyhttp.RouteList{{MatcherSets: caddyhttp.MatcherSets{{&caddyhttp.MatchHost{"push.example.org"}}}}}
	for _, tt := range []struct {
		name, remote string
		vars         map[string]any
		want         string
	}{
		{"who a trusted proxy says it is", "10.0.0.1:4711", map[string]any{caddyhttp.ClientIPVarKey: "198.51.100.7"}, "198.51.100.7"},
		{"who is connected", "198.51.100.8:4711", nil, "198.51.100.8"},
		{"who is connected over IPv6", "[2001:db8::1]:4711", map[string]any{caddyhttp.ClientIPVarKey: ""}, "2001:db8::1"},
		{"one of IPv4 over IPv6", "[::ffff:198.51.100.9]:4711", nil, "198.51.100.9"},
		{"nobody with an address", "@", map[string]any{caddyhttp.ClientIPVarKey: "@"}, ""},
		{"nothing that is an address", "@", map[string]any{caddyhttp.ClientIPVarKey: "1.2.3.4\r\nEvil: yes"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := requestTo("push.example.org", "push.example.org", push, caddy.NewReplacer())
			r.RemoteAddr = tt.remote
			if tt.vars != nil {
				r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, tt.vars))
			}
			if got := siteOf(r).Client; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// foreign is the address of a third party's listener.
type foreign string

func (foreign) Network() string  { return "foreign" }
func (f foreign) String() string { return string(f) }

func TestTheSitesPortIsTheListeners(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		local any
		want  string
	}{
		{"TCP", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, "443"},
		{"TCP over IPv6", &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 8443, Zone: "eth0"}, "8443"},
		{"TCP without an address", &net.TCPAddr{Port: 443}, "443"},
		{"UDP", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, "443"},
		{"a Unix socket", &net.UnixAddr{Name: "/run/caddy.sock", Net: "unix"}, ""},
		{"a third party's listener", foreign("[2001:db8::1]:443"), "443"},
		{"a third party's listener without a port", foreign("node"), ""},
		{"an unknown one", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "https://push.example.org"+endpoint, nil)
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.local))
			if got := siteOf(r); got != (providers.Site{Port: tt.want}) {
				t.Errorf("got %+v, want port %q", got, tt.want)
			}
		})
	}
}
