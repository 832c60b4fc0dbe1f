package endpoint

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Astray returns an error if an endpoint is on the own site's host, but at a port where no push server can be reached: a typing error of
// whoever set the client up. The site is at 443, at the port that the request came in at, and at the one that it was made to, which a proxy
// or a container may map to that. At another one there is this machine, to which the guard connects for the own site only. Where the
// operator said where private push servers are, or has all pushes go through another server or a proxy, nothing is known of what is at a
// port.
func (c *Client) Astray(endpoint *url.URL, site providers.Site) error {
	if c == nil || c.settings == nil || site.Host == "" || len(c.settings.allow) > 0 || c.settings.Endpoint != nil {
		return nil
	}
	port, sites := portOf(endpoint), []string{"443", site.Port, site.PublicPort}
	if strings.TrimSuffix(endpoint.Hostname(), ".") != strings.TrimSuffix(site.Host, ".") || slices.Contains(sites, port) {
		return nil
	}
	if proxy, err := c.settings.Proxy(endpoint); proxy != nil || err != nil {
		return nil //nolint:nilerr // a proxy that cannot be known is Push's to report
	}
	at := site.PublicPort
	if at == "" {
		at = "443"
	}
	return fmt.Errorf("it is on this site's own host at port %s, where no push server can be reached: the site is at %s", port, at)
}
