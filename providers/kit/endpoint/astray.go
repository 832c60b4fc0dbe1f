package endpoint

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Astray returns an error if an endpoint is on the site's own host, but at a port where no push server can be reached: somebody made a
// typing error when they set up the client. The site is at 443, at the port that the request came in at, and at the port that the request
// was made to, which a proxy or a container may map. Any other port is this machine's, to which the guard connects for the own site only.
// If the operator allows private networks, or sends all pushes through another server or a proxy, nothing is known about other ports, and
// the error is nil.
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
