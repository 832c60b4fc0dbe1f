package homeserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Versions is what a homeserver supports.
type Versions struct {
	Versions []string `json:"versions"`
	// Server is the software that the homeserver names in its header, such as Synapse/1.163.2. A proxy may have replaced it.
	Server string `json:"-"`
}

// Versions asks the homeserver once what it supports. So it also finds out where the homeserver is: at the address, or where the address's
// .well-known/matrix/client says. It follows only one such document, https://spec.matrix.org/latest/client-server-api/#well-known-uri.
func (c *Client) Versions(ctx context.Context) (*Versions, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.versions != nil {
		return c.versions, nil
	}
	base := c.given
	v, err := c.versionsAt(ctx, base)
	if failed := (*Error)(nil); errors.As(err, &failed) && !failed.silent {
		found := c.wellKnown(ctx)
		if found == nil {
			return nil, err
		}
		base = found
		v, err = c.versionsAt(ctx, base)
	}
	if err != nil {
		return nil, err
	}
	c.base, c.versions = base, v
	return v, nil
}

func (c *Client) versionsAt(ctx context.Context, base *url.URL) (*Versions, error) {
	a, err := c.send(ctx, request{method: http.MethodGet, base: base, path: "/_matrix/client/versions"})
	if err != nil {
		return nil, err
	}
	v := &Versions{Server: a.server}
	if json.Unmarshal(a.body, v) != nil || len(v.Versions) == 0 {
		return nil, &Error{text: fmt.Sprintf("%s is not a homeserver: its answer to GET /_matrix/client/versions has no list of versions", base)}
	}
	return v, nil
}

// wellKnown returns the homeserver's address that the address's host publishes, or nil if there is no other.
func (c *Client) wellKnown(ctx context.Context) *url.URL {
	host := &url.URL{Scheme: c.given.Scheme, Host: c.given.Host}
	a, err := c.send(ctx, request{method: http.MethodGet, base: host, path: "/.well-known/matrix/client"})
	if err != nil {
		return nil
	}
	var document struct {
		Homeserver struct {
			BaseURL string `json:"base_url"`
		} `json:"m.homeserver"`
	}
	if json.Unmarshal(a.body, &document) != nil || !strings.Contains(document.Homeserver.BaseURL, "://") {
		return nil
	}
	base, err := parse(document.Homeserver.BaseURL)
	switch {
	case err != nil, *base == *c.given:
		return nil
	case base.Scheme == "http" && !loopback(c.given.Hostname()): // a stranger's document must not lead to this machine's services
		return nil
	}
	return base
}
