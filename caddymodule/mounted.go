package caddymodule

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/internal/names"
)

// mount is a handler and the host names that reach it, as far as the configuration names them.
type mount struct {
	handler *Handler
	hosts   []string
}

// publicHosts returns the names of an app's sites that may be in the public DNS, in the order of the configuration.
func publicHosts(mounts []mount, app *gateway.App) (hosts []string) {
	for _, m := range mounts {
		if !m.handler.serves(app) {
			continue
		}
		for _, host := range m.hosts {
			if host = names.Canonical(host); names.Public(host) == nil && !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}

// servers returns the HTTP servers of a provisioned configuration.
func servers(ctx caddy.Context) (list []*caddyhttp.Server) {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil // no sites
	}
	sites, ok := app.(*caddyhttp.App)
	if !ok {
		return nil
	}
	// The Caddyfile numbers the servers: srv2 comes before srv10.
	order := slices.SortedFunc(maps.Keys(sites.Servers), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	for _, name := range order {
		list = append(list, sites.Servers[name])
	}
	return list
}

// mounts returns the gateway's handlers in a provisioned configuration.
func mounts(ctx caddy.Context) (list []mount) {
	for _, server := range servers(ctx) {
		list = append(list, mountsOn(server)...)
	}
	return list
}

// mountsOn returns the gateway's handlers on a server.
func mountsOn(server *caddyhttp.Server) []mount {
	w := walk{server: server}
	w.routes(server.Routes, everyHost)
	return w.found
}

// maxNames limits the host names in a site's name.
const maxNames = 3

// describeSite returns a name for a site: its host names and the addresses of its server.
func describeSite(server *caddyhttp.Server, hosts []string) string {
	name := strings.Join(server.Listen, ", ")
	if len(hosts) == 0 {
		return name
	}
	if len(hosts) > maxNames {
		hosts = append(hosts[:maxNames:maxNames], "…")
	}
	return strings.Join(hosts, ", ") + " on " + name
}

// walk goes through a server's routes and their subroutes.
type walk struct {
	server  *caddyhttp.Server
	invoked []string // the named routes on the way
	found   []mount
}

// scope is what is known of the requests that reach a route.
type scope struct {
	named  []string               // by the host matchers on the way
	allows func(host string) bool // reports whether these let a host through
}

var everyHost = scope{allows: func(string) bool { return true }}

func (w *walk) routes(list caddyhttp.RouteList, s scope) {
	for i := range list {
		w.route(&list[i], s)
	}
}

func (w *walk) route(route *caddyhttp.Route, s scope) {
	s = s.narrowed(route.MatcherSets)
	for _, handler := range route.Handlers {
		switch h := handler.(type) {
		case *Handler:
			w.found = append(w.found, mount{h, slices.DeleteFunc(slices.Clone(s.named), func(host string) bool { return !s.allows(host) })})
		case *caddyhttp.Subroute:
			w.routes(h.Routes, s)
		case *caddyhttp.Invoke:
			w.invoke(h.Name, s)
		}
	}
}

// invoke follows a named route, unless it is already in it.
func (w *walk) invoke(name string, s scope) {
	route, ok := w.server.NamedRoutes[name]
	if !ok || slices.Contains(w.invoked, name) {
		return
	}
	w.invoked = append(w.invoked, name)
	w.route(route, s)
	w.invoked = w.invoked[:len(w.invoked)-1]
}

// narrowed returns the scope behind a route's matchers, of which one set must match. It considers only the host matchers.
func (s scope) narrowed(sets caddyhttp.MatcherSets) scope {
	if len(sets) == 0 {
		return s
	}
	named := slices.Clone(s.named)
	for _, set := range sets {
		for _, matcher := range set {
			if hosts, ok := matcher.(*caddyhttp.MatchHost); ok {
				named = append(named, exact(*hosts)...)
			}
		}
	}
	return scope{named, func(host string) bool {
		return s.allows(host) && slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool { return lets(set, host) })
	}}
}

// exact returns the names among a matcher's hosts, without wildcards and placeholders.
func exact(hosts caddyhttp.MatchHost) (list []string) {
	for _, host := range hosts {
		if !strings.ContainsAny(host, "*{}") {
			list = append(list, host)
		}
	}
	return list
}

// lets reports whether a set of matchers may let a host through.
func lets(set caddyhttp.MatcherSet, host string) bool {
	for _, matcher := range set {
		switch m := matcher.(type) {
		case *caddyhttp.MatchHost:
			if !matches(m, host) {
				return false
			}
		case *caddyhttp.MatchNot:
			if slices.ContainsFunc(m.MatcherSets, func(not caddyhttp.MatcherSet) bool { return isOnly(not, host) }) {
				return false
			}
		}
	}
	return true
}

// isOnly reports whether a set of matchers has only host matchers, and they match the host.
func isOnly(set caddyhttp.MatcherSet, host string) bool {
	for _, matcher := range set {
		if m, ok := matcher.(*caddyhttp.MatchHost); !ok || !matches(m, host) {
			return false
		}
	}
	return len(set) > 0
}

// matches reports whether Caddy's matcher matches the host. It handles wildcards and environment placeholders.
func matches(m *caddyhttp.MatchHost, host string) bool {
	r := &http.Request{Host: host}
	ok, err := m.MatchWithError(r.WithContext(context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer())))
	return ok && err == nil
}
