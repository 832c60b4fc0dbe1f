package caddymodule

import (
	"net/http"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// explosive is a third party's matcher that panics.
type explosive struct{}

func (explosive) MatchWithError(*http.Request) (bool, error) { panic("boom") }

func TestAMadeUpRequestProvesWhatAHomeserversRequestWould(t *testing.T) {
	t.Parallel()
	host := caddyhttp.MatchHost{"push.example.org"}
	if err := host.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	routes := func(matchers ...any) caddyhttp.RouteList {
		return caddyhttp.RouteList{{MatcherSets: caddyhttp.MatcherSets{matchers}}}
	}
	for _, tt := range []struct {
		name   string
		routes caddyhttp.RouteList
		secure bool
		to     gateway.Address
		want   providers.Site
	}{
		{"its name", routes(&host), true, gateway.Address{Host: "push.example.org"}, providers.Site{Host: "push.example.org", Port: "8443"}},
		{
			"its name and a port that a container maps", routes(&host), true,
			gateway.Address{Host: "push.example.org", Port: "444"},
			providers.Site{Host: "push.example.org", Port: "8443", PublicPort: "444"},
		},
		{"without TLS", routes(&host), false, gateway.Address{Host: "push.example.org"}, providers.Site{Port: "8443"}},
		{"another name", routes(&host), true, gateway.Address{Host: "other.example.org"}, providers.Site{Port: "8443"}},
		{"an address", routes(&caddyhttp.MatchHost{"192.0.2.7"}), true, gateway.Address{Host: "192.0.2.7"}, providers.Site{Port: "8443"}},
		{"another path", routes(&host, caddyhttp.MatchPath{"/up*"}), true, gateway.Address{Host: "push.example.org"}, providers.Site{Port: "8443"}},
		{"a matcher that panics", routes(&host, explosive{}), true, gateway.Address{Host: "push.example.org"}, providers.Site{Port: "8443"}},
		{"no host name", routes(&host), true, gateway.Address{Host: "a b"}, providers.Site{}},
	} {
		if got := proved(&caddyhttp.Server{Routes: tt.routes}, tt.secure, tt.to, "8443"); got != tt.want {
			t.Errorf("%s: it proves %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestAServersPortsAreThoseOfItsListeners(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		listen []string
		secure bool
		want   []string
	}{
		{[]string{":443"}, true, []string{"443"}},
		{[]string{"127.0.0.1:8443", "[::1]:8443", ":9000-9002"}, true, []string{"8443", "9000", "9001", "9002"}},
		{[]string{":80", ":443"}, true, []string{"443"}},
		{[]string{":80"}, false, []string{"80"}},
		{[]string{"unix//run/caddy.sock", "fd/3", "udp/:443", ":0", "nonsense:x"}, true, []string{"443"}},
	} {
		if got := portsOf(tt.listen, tt.secure, 80); !slices.Equal(got, tt.want) {
			t.Errorf("%v: the ports are %v, want %v", tt.listen, got, tt.want)
		}
	}
}
