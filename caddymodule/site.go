package caddymodule

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// site is what the request proves about where it came in.
func site(r *http.Request) providers.Site {
	var s providers.Site
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, ""
	}
	if r.TLS != nil && r.TLS.ServerName != "" && strings.EqualFold(host, r.TLS.ServerName) && named(r, r.TLS.ServerName) {
		s.Host = strings.ToLower(r.TLS.ServerName)
		s.Client = clientIP(r)
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			s.PublicPort = strconv.FormatUint(n, 10)
		}
	}
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		_, s.Port, _ = net.SplitHostPort(addr.String())
	}
	return s
}

// named reports whether the operator gave a site of the server this very name. Whoever sends the request chose it out of all names that the
// sites take, and with it where it resolves to: so a wildcard, a placeholder, or a site for every name gives none. Only the server's own
// routes count, which are the sites, and not what is nested in them, where a name may be there to be refused.
func named(r *http.Request, name string) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return false
	}
	for _, route := range server.Routes {
		for _, set := range route.MatcherSets {
			if !hasName(set, name) {
				continue
			}
			// The others of the set may take the name back, as `not` does.
			if matches, err := set.MatchWithError(r); err == nil && matches {
				return true
			}
		}
	}
	return false
}

// hasName reports whether one of the matchers is for exactly this host.
func hasName(set caddyhttp.MatcherSet, name string) bool {
	for _, matcher := range set {
		hosts, ok := matcher.(*caddyhttp.MatchHost)
		if !ok {
			continue
		}
		for _, host := range *hosts {
			if !strings.ContainsAny(host, "*{}") && strings.EqualFold(host, name) {
				return true
			}
		}
	}
	return false
}

// clientIP is who sent the request, as Caddy knows it: by trusted_proxies, or else who is connected. It is empty if that is not an address.
func clientIP(r *http.Request) string {
	if vars, ok := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		client, _ := vars[caddyhttp.ClientIPVarKey].(string)
		if ip, err := netip.ParseAddr(client); err == nil {
			return ip.Unmap().WithZone("").String()
		}
	}
	if remote, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return remote.Addr().Unmap().WithZone("").String()
	}
	return ""
}
