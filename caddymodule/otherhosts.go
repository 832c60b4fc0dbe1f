package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// otherHost is a host that no site is for.
const otherHost = "a-host-that-no-site-has.invalid"

// otherHosts returns a warning for each server without TLS on which Caddy answers requests with another Host with an empty 200. If the
// proxy in front of it doesn't pass on the Host, that looks like a delivery.
func otherHosts(ctx caddy.Context) (warnings []string) {
	for _, server := range servers(ctx) {
		list := mountsOn(server)
		withoutTLS := slices.ContainsFunc(list, func(m mount) bool { return m.handler.Plaintext != plaintextRefuse })
		if !withoutTLS || (&probe{server: server}).answers(server.Routes) {
			continue
		}
		var hosts []string
		for _, m := range list {
			hosts = append(hosts, m.hosts...)
		}
		warnings = append(warnings, fmt.Sprintf("site %s: if a proxy does not pass on the Host, its notifications match no site, and Caddy "+
			"answers them with an empty 200; add a site without a host name on the same port, with the directive respond 421", describeSite(server, hosts)))
	}
	return warnings
}

// probe looks for a handler that answers a notification whose Host no site is for.
type probe struct {
	server  *caddyhttp.Server
	invoked []string // the named routes on the way
}

// passesOn has the standard handlers that only prepare a request or its answer.
var passesOn = []string{
	"copy_response_headers", "encode", "headers", "intercept", "log_append", "map", "push", "request_body", "rewrite", "templates", "tracing", "vars",
}

func (p *probe) answers(routes caddyhttp.RouteList) bool {
	return slices.ContainsFunc(routes, func(route caddyhttp.Route) bool {
		return letsOtherHost(route.MatcherSets) && slices.ContainsFunc(route.Handlers, p.answering)
	})
}

// answering reports whether a handler may answer. A third party's handler may.
func (p *probe) answering(handler caddyhttp.MiddlewareHandler) bool {
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		return p.answers(h.Routes)
	case *caddyhttp.Invoke:
		route, ok := p.server.NamedRoutes[h.Name]
		if !ok || slices.Contains(p.invoked, h.Name) {
			return false
		}
		p.invoked = append(p.invoked, h.Name)
		defer func() { p.invoked = p.invoked[:len(p.invoked)-1] }()
		return p.answers(caddyhttp.RouteList{*route})
	}
	return !slices.Contains(passesOn, caddy.GetModuleName(handler))
}

// letsOtherHost reports whether a route's matchers may let the notification through. It considers the host and the path.
func letsOtherHost(sets caddyhttp.MatcherSets) bool {
	return len(sets) == 0 || slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool {
		return lets(set, otherHost) && !slices.ContainsFunc(set, isForOtherPath)
	})
}

// isForOtherPath reports whether a matcher excludes the endpoint's path.
func isForOtherPath(matcher any) bool {
	path, ok := matcher.(*caddyhttp.MatchPath)
	if !ok {
		return false
	}
	ctx := context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+otherHost+endpoint, nil)
	if err != nil {
		return false
	}
	matches, err := path.MatchWithError(r)
	return err == nil && !matches
}
