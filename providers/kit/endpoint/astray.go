package endpoint

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Astray returns an error if an endpoint is on the site's own host, but at a port where no push server can be reached. The user
// probably made a typing error when they set up the client. The site is at port 443, at the port at which the request arrived, and at
// the port in the request's Host header, which a proxy or a container may map. Any other port is on this machine, and the guard
// connects to this machine for its own site only. If the operator allows private networks, or sends all pushes through another server
// or a proxy, other ports may work too, and the error is nil.
func (c *Client) Astray(endpoint *url.URL, site providers.Site) error {
	if c == nil || c.settings == nil || site.Host == "" || len(c.settings.allow) > 0 || c.settings.Endpoint != nil {
		return nil
	}
	port, sites := portOf(endpoint), []string{"443", site.Port, site.PublicPort}
	if strings.TrimSuffix(endpoint.Hostname(), ".") != strings.TrimSuffix(site.Host, ".") || slices.Contains(sites, port) {
		return nil
	}
	if proxy, err := c.settings.Proxy(endpoint); proxy != nil || err != nil {
		return nil //nolint:nilerr // Push reports a proxy that cannot be determined
	}
	at := site.PublicPort
	if at == "" {
		at = "443"
	}
	return fmt.Errorf("no push server can be reached at port %s of this site's own host: use port %s, where the site is", port, at)
}
