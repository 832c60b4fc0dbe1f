package caddymodule

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

func TestASiteIsProvedByANameThatTheOperatorGaveIt(t *testing.T) {
	t.Parallel()
	named := caddyhttp.Route{MatcherSets: caddyhttp.MatcherSets{{&caddyhttp.MatchHost{"push.example.org", "*.home.example.org"}}}}
	byPath := caddyhttp.Route{MatcherSets: caddyhttp.MatcherSets{{caddyhttp.MatchPath{"/*"}}}}
	tests := []struct {
		name, host, serverName string
		routes                 caddyhttp.RouteList
		want                   string
	}{
		{"its name", "push.example.org:8443", "push.example.org", caddyhttp.RouteList{named}, "push.example.org"},
		{"its name in capitals", "Push.Example.ORG", "push.example.org", caddyhttp.RouteList{named}, "push.example.org"},
		{"a name that its wildcard covers", "up.home.example.org", "up.home.example.org", caddyhttp.RouteList{byPath, named}, "up.home.example.org"},
		{"another Host than the TLS server name", "push.example.org", "up.home.example.org", caddyhttp.RouteList{named}, ""},
		{"no TLS server name", "push.example.org", "", caddyhttp.RouteList{named}, ""},
		{"a name that the sender chose, at a site for every name", "stranger.example", "stranger.example", caddyhttp.RouteList{{}}, ""},
		{"the same beside a site with a name", "stranger.example", "stranger.example", caddyhttp.RouteList{named, {}}, ""},
		{"a site that only a path makes", "stranger.example", "stranger.example", caddyhttp.RouteList{byPath}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "https://"+tt.host+endpoint, nil)
			r.TLS = &tls.ConnectionState{ServerName: tt.serverName}
			ctx := context.WithValue(r.Context(), caddyhttp.ServerCtxKey, &caddyhttp.Server{Routes: tt.routes})
			ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
			ctx = context.WithValue(ctx, http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8443})
			if got := site(r.WithContext(ctx)); got != (providers.Site{Host: tt.want, Port: "8443"}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
