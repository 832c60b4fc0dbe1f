package endpoint

import (
	"net/http"
	"net/url"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Preview returns where [Client.Post] would send a request, and its headers, for a [providers.Previewer]. It uses no network. The URL has
// [providers.Masked] in place of the path and the query, since they are secret. The error is that of Post, if Post would return it before
// it looks up the host's name: [Failed] classifies it.
func (c *Client) Preview(endpoint *url.URL, site providers.Site, header http.Header) (string, http.Header, error) {
	w, err := c.wayTo(endpoint, site, header)
	if err != nil {
		return "", nil, err
	}
	if w.transport == c.transports.guarded && c.guard.plainlyPrivate(w.target.Hostname(), portOf(w.target)) {
		return "", nil, errBlocked
	}
	return w.target.Scheme + "://" + w.target.Host + "/" + providers.Masked, w.header, nil
}
