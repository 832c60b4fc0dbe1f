package caddymodule

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/gateway"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// sitesOf returns the sites that mount the gateway, for tests of what a homeserver's notification would do.
func sitesOf(ctx caddy.Context, mounts []mount) []gateway.Site {
	plainPort := caddyhttp.DefaultHTTPPort
	if app, err := ctx.AppIfConfigured("http"); err == nil {
		if sites, ok := app.(*caddyhttp.App); ok && sites.HTTPPort != 0 {
			plainPort = sites.HTTPPort
		}
	}
	list := make([]gateway.Site, 0, len(mounts)) // not nil, as the sites are known
	for _, m := range mounts {
		secure := len(m.server.TLSConnPolicies) > 0
		list = append(list, gateway.Site{
			Hosts: m.hosts, Ports: portsOf(m.server.Listen, secure, plainPort), Accepts: m.accepts, Serves: m.handler.serves,
			Proves: func(to gateway.Address, port string) providers.Site { return proved(m.server, secure, to, port) },
		})
	}
	return list
}

// maxPorts limits how many ports of a server's ranges count.
const maxPorts = 64

// portsOf returns a server's TCP ports. If it speaks TLS, the port for plain HTTP doesn't count, as Caddy never uses TLS there.
func portsOf(listen []string, secure bool, plainPort int) (ports []string) {
	for _, address := range listen {
		to, err := caddy.ParseNetworkAddress(address)
		if err != nil || to.IsUnixNetwork() || to.IsFdNetwork() {
			continue
		}
		for port := to.StartPort; port <= to.EndPort && len(ports) < maxPorts; port++ {
			text := strconv.FormatUint(uint64(port), 10)
			if port != 0 && !(secure && int(port) == plainPort) && !slices.Contains(ports, text) {
				ports = append(ports, text)
			}
		}
	}
	return ports
}

// proved returns what a homeserver's request to an address proves about the site, if it arrives at a local port. It makes up such a
// request, and asks the server's own matchers. They may be a third party's, and one that panics proves nothing.
func proved(server *caddyhttp.Server, secure bool, to gateway.Address, port string) (s providers.Site) {
	local, _ := strconv.ParseUint(port, 10, 16)
	ctx := context.WithValue(context.Background(), http.LocalAddrContextKey, &net.TCPAddr{Port: int(local)})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+to.String()+endpoint, http.NoBody)
	if err != nil {
		return s
	}
	r.RemoteAddr = "127.0.0.1:1" // the matchers that are for certain clients are not for sites
	if secure {
		r.TLS = new(tls.ConnectionState)
		if _, err := netip.ParseAddr(to.Host); err != nil { // RFC 6066 section 3: an address is not a server name
			r.TLS.ServerName = to.Host
		}
	}
	if caught := gateway.Catch("MatchWithError", func() {
		s = site(caddyhttp.PrepareRequest(r, caddy.NewReplacer(), unanswered{}, server), server)
	}); caught != nil {
		return providers.Site{Port: port}
	}
	s.Client = "" // nobody sent it
	return s
}

// unanswered is the writer for a request that is made up, and never answered.
type unanswered struct{}

func (unanswered) Header() http.Header         { return make(http.Header) }
func (unanswered) Write(b []byte) (int, error) { return len(b), nil }
func (unanswered) WriteHeader(int)             {}
