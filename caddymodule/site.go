package caddymodule

import (
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// site is what the request proves about where it came in.
func site(r *http.Request) providers.Site {
	var s providers.Site
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if r.TLS != nil && r.TLS.ServerName != "" && strings.EqualFold(host, r.TLS.ServerName) && named(r) {
		s.Host = strings.ToLower(host)
	}
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		_, s.Port, _ = net.SplitHostPort(addr.String())
	}
	return s
}

// named says whether the operator gave a site of the server the name that the request came in by. A site for every name has none: who sends
// the request chose it, and with it where it resolves to.
func named(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return false
	}
	for _, route := range server.Routes {
		for _, set := range route.MatcherSets {
			for _, matcher := range set {
				hosts, ok := matcher.(*caddyhttp.MatchHost)
				if !ok {
					continue
				}
				if matches, err := hosts.MatchWithError(r); err == nil && matches {
					return true
				}
			}
		}
	}
	return false
}
