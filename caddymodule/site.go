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

// site returns what the request proves about the site of the server where it arrived. The server is nil if it is unknown.
func site(r *http.Request, server *caddyhttp.Server) providers.Site {
	var s providers.Site
	host, port := r.Host, ""
	if strings.Contains(host, ":") { // without a port, SplitHostPort would allocate an error
		if name, number, err := net.SplitHostPort(host); err == nil {
			host, port = name, number
		}
	}
	if r.TLS != nil && r.TLS.ServerName != "" && strings.EqualFold(host, r.TLS.ServerName) && named(r, server, r.TLS.ServerName) {
		s.Host = strings.ToLower(r.TLS.ServerName)
		s.Client = clientIP(r)
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			s.PublicPort = strconv.FormatUint(n, 10)
		}
	}
	switch local := r.Context().Value(http.LocalAddrContextKey).(type) {
	case interface{ AddrPort() netip.AddrPort }: // an address of TCP or UDP, as text it would take three allocations
		s.Port = strconv.FormatUint(uint64(local.AddrPort().Port()), 10)
	case net.Addr:
		_, s.Port, _ = net.SplitHostPort(local.String())
	}
	return s
}

// named reports whether the operator gave a site of the server exactly this name. The sender chooses the name among all that the sites
// accept, and so also where it resolves to. Therefore wildcards, placeholders and sites for all names don't count. Only the server's
// top-level routes count, which are the sites. A nested route may have a name only to refuse it.
func named(r *http.Request, server *caddyhttp.Server, name string) bool {
	if server == nil {
		return false
	}
	for _, route := range server.Routes {
		for _, set := range route.MatcherSets {
			if !hasName(set, name) {
				continue
			}
			if len(set) == 1 { // only the hosts
				return true
			}
			// Other matchers of the set, such as `not`, may exclude the name.
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

// clientIP returns the client's IP address as Caddy determines it with trusted_proxies, or else the address of the connection. It is empty
// if there is no valid address.
func clientIP(r *http.Request) string {
	if vars, ok := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		client, _ := vars[caddyhttp.ClientIPVarKey].(string)
		if ip, err := netip.ParseAddr(client); err == nil {
			if ip.Is4() { // there is only one way to write it
				return client
			}
			return ip.Unmap().WithZone("").String()
		}
	}
	if remote, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return remote.Addr().Unmap().WithZone("").String()
	}
	return ""
}
