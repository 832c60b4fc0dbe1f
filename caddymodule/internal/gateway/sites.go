package gateway

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/names"
	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Site is a site that mounts the gateway's endpoint.
type Site struct {
	// Hosts are the names that the configuration gives the site. They are empty if it only has a wildcard, or is for all names.
	Hosts []string
	// Ports are the local TCP ports at which it is reached.
	Ports []string
	// Accepts reports whether requests for a host may reach the site.
	Accepts func(host string) bool
	// Proves returns what a request to this address proves about the site if it arrives at a local port.
	Proves func(to Address, port string) providers.Site
	// Serves reports whether the site serves an app.
	Serves func(*App) bool
}

// Address is a site's host and port, as in a Host header. The port is empty if the header has none.
type Address struct{ Host, Port string }

func (a Address) String() string {
	if a.Port == "" {
		return a.Host
	}
	return net.JoinHostPort(a.Host, a.Port)
}

// httpsPort is the port of URLs that name none.
const httpsPort = "443"

func addressOf(host, port string) Address {
	if port == httpsPort {
		port = ""
	}
	return Address{host, port}
}

// SiteError means that a notification for a device cannot arrive at a site.
type SiteError string

func (e SiteError) Error() string { return string(e) }

// arrival is where a notification counts as arrived.
type arrival struct {
	site providers.Site
	// address is the site's; empty if it is not known.
	address Address
	// assumed says how to try another port, if the site's port is only assumed.
	assumed string
}

// arrival returns where a notification for a device arrives, at an address or, if that is empty, at the site with the push server's
// name.
func (g *Gateway) arrival(app *App, d *providers.Device, to Address) (arrival, error) {
	host, port, _ := net.SplitHostPort(app.Host(d))
	if to.Host != "" {
		return g.arrivalAt(app, to, port)
	}
	sites := slices.DeleteFunc(g.named(host), func(s Site) bool { return !s.Serves(app) })
	if len(sites) == 0 {
		return arrival{}, nil
	}
	for _, s := range sites {
		if slices.Contains(s.Ports, port) {
			to = addressOf(names.Canonical(host), port)
			return arrival{site: s.Proves(to, port), address: to}, nil
		}
	}
	local := sites[0].port(httpsPort)
	to = addressOf(names.Canonical(host), local)
	return arrival{
		site: sites[0].Proves(to, local), address: to,
		assumed: fmt.Sprintf(
			"if homeservers reach the gateway at port %s, because a proxy or container maps it, set the site to %s:%[1]s", port, to.Host),
	}, nil
}

// arrivalAt returns what a notification to an address proves. preferred is the local port if the address has none.
func (g *Gateway) arrivalAt(app *App, to Address, preferred string) (arrival, error) {
	if g.Sites == nil {
		return arrival{site: providers.Site{Host: to.Host, Port: cmp.Or(to.Port, httpsPort)}, address: to}, nil
	}
	sites := g.named(to.Host)
	if len(sites) == 0 {
		sites = slices.DeleteFunc(slices.Clone(g.Sites), func(s Site) bool { return !s.Accepts(to.Host) })
	}
	if len(sites) == 0 {
		return arrival{}, SiteError(g.noSite(to.Host))
	}
	sites = slices.DeleteFunc(sites, func(s Site) bool { return !s.Serves(app) })
	if len(sites) == 0 {
		err := fmt.Sprintf("the site %q does not serve the app %q, so the device would be rejected", to.Host, app.Pattern)
		return arrival{}, SiteError(err)
	}
	at := cmp.Or(to.Port, preferred, httpsPort)
	site := sites[max(0, slices.IndexFunc(sites, func(s Site) bool { return slices.Contains(s.Ports, at) }))]
	return arrival{site: site.Proves(to, site.port(at)), address: to}, nil
}

// The results of [ArrivalStatus].
const (
	// ArrivesNamed means that a site has exactly this name, and ArrivesAccepted that a site for all names, or for a wildcard, accepts it.
	ArrivesNamed    = "named"
	ArrivesAccepted = "accepted"
	// ArrivesUnserved means that the site does not serve the device's app, and ArrivesNowhere that no site accepts the name.
	ArrivesUnserved = "app_not_served"
	ArrivesNowhere  = "no_such_site"
)

// ArrivalStatus is whether notifications for a device arrive at a site.
type ArrivalStatus struct {
	// Site is the site that the operator asked about, `host` or `host:port`.
	Site   string `json:"site"`
	Result string `json:"result"`
	// Detail is why they don't arrive; absent if they do.
	Detail string `json:"detail,omitempty"`
}

// arrivalStatus returns whether notifications for a device of an app arrive at an address. The app is nil if none serves the device.
func (g *Gateway) arrivalStatus(app *App, to Address) *ArrivalStatus {
	s := &ArrivalStatus{Site: to.String(), Result: ArrivesNamed}
	switch {
	case len(g.named(to.Host)) > 0:
	case g.Sites == nil, slices.ContainsFunc(g.Sites, func(s Site) bool { return s.Accepts(to.Host) }):
		s.Result = ArrivesAccepted
	default:
		s.Result, s.Detail = ArrivesNowhere, g.noSite(to.Host)
		return s
	}
	if app == nil {
		return s
	}
	if _, err := g.arrivalAt(app, to, ""); err != nil {
		s.Result, s.Detail = ArrivesUnserved, err.Error()
	}
	return s
}

// port returns the local port at which requests arrive: the wanted one, or that of https, or the first.
func (s *Site) port(wanted string) string {
	for _, port := range []string{wanted, httpsPort} {
		if slices.Contains(s.Ports, port) {
			return port
		}
	}
	if len(s.Ports) == 0 {
		return ""
	}
	return s.Ports[0]
}

// named returns the sites with exactly this name.
func (g *Gateway) named(host string) (list []Site) {
	if host = names.Canonical(host); host == "" {
		return nil
	}
	for _, s := range g.Sites {
		if slices.ContainsFunc(s.Hosts, func(name string) bool { return names.Canonical(name) == host }) {
			list = append(list, s)
		}
	}
	return list
}

// siteNames returns the names of all sites.
func (g *Gateway) siteNames() (list []string) {
	for _, s := range g.Sites {
		list = append(list, s.Hosts...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// noSite returns the error for a site that does not exist.
func (g *Gateway) noSite(host string) string {
	if len(g.Sites) == 0 {
		return "no site mounts the gateway: add the directive matrix_push to one"
	}
	return "no site of the gateway has the name " + nearest.Shown(host) + nearest.Instead(host, "sites", g.siteNames())
}

// maxListed limits how many sites a note lists.
const maxListed = 20

// listed returns a list of names, but not more than maxListed.
func listed(names []string) string {
	more := ""
	if len(names) > maxListed {
		names, more = names[:maxListed], fmt.Sprintf(" and %d more", len(names)-maxListed)
	}
	return strings.Join(names, ", ") + more
}

// noteServedNowhere is for devices of apps that are configured for nothing.
const noteServedNowhere = "no site serves the app, so homeservers' notifications are rejected: mount matrix_push on a site, and check " +
	"its option apps"

// servedNowhere reports whether it is known that no notification for an app can arrive.
func (g *Gateway) servedNowhere(app *App) bool {
	return g.Sites != nil && !app.Elsewhere && !slices.ContainsFunc(g.Sites, func(s Site) bool { return s.Serves(app) })
}

// noteSites returns which sites serve an app, if others do not; empty if all do.
func (g *Gateway) noteSites(app *App) string {
	var serving, others []string
	for _, s := range g.Sites {
		if s.Serves(app) {
			serving = append(serving, s.Hosts...)
		} else {
			others = append(others, s.Hosts...)
		}
	}
	if len(serving) == 0 || len(others) == 0 {
		return ""
	}
	return fmt.Sprintf("these sites serve the app: %s; these reject its devices: %s", listed(serving), listed(others))
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// blockedNote returns what would let a push reach a push server that the configuration blocks.
func (g *Gateway) blockedNote(address string, at arrival) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil || g.Sites == nil {
		return ""
	}
	host = names.Canonical(host)
	own := g.named(host)
	switch {
	case at.site.Host == host:
		return "" // its port or path is not the site's, as the reason shows
	case at.address.Host == host:
		return fmt.Sprintf("requests don't prove that they reach the site %s: it needs TLS and exactly this name; "+
			"otherwise, allow_private must list its network", host)
	case len(own) > 0:
		return fmt.Sprintf("the push server is on the site %s: only notifications that arrive there reach it", host)
	case isAddress(host):
		return fmt.Sprintf("%s is an address, and a site needs a name: use the push server's name, or list its network in allow_private", host)
	default:
		there := "none"
		if all := g.siteNames(); len(all) > 0 {
			there = listed(all)
		}
		return fmt.Sprintf("%s is not a site of this gateway (its sites: %s): make it one, or list the push server's network in allow_private",
			host, there)
	}
}
