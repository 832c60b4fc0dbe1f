package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Client posts pushes to push servers. It is safe for concurrent use.
type Client struct {
	ctx        caddy.Context
	settings   *settings
	transports *transports
	hosts      hosts
	key        string
}

// NewClient checks the options and takes hold of their transports. Close must be called once.
func NewClient(ctx caddy.Context, o *Options) (*Client, error) {
	s, err := o.resolve()
	if err != nil {
		return nil, err
	}
	c := &Client{ctx: ctx, settings: s, key: s.key()}
	t, _, err := pool.LoadOrNew(c.key, func() (caddy.Destructor, error) { return newTransports(s), nil })
	if err != nil {
		return nil, err
	}
	c.transports = t.(*transports)
	return c, nil
}

// Start is called when the configuration goes live: by then Caddy's own certificate authorities are known.
func (c *Client) Start() { c.transports.trustInternal(c.ctx) }

// Close lets go of the transports. A nil Client has none.
func (c *Client) Close() error {
	if c == nil {
		return nil
	}
	_, err := pool.Delete(c.key)
	return err
}

// Response is what matters of a push server's answer.
type Response struct {
	Status int
	Header http.Header
	// Body is there only if it may have a word that decides. It has at most maxResponse bytes.
	Body []byte
}

// maxResponse is how much of an answer is read, so that its connection can serve the next push.
const maxResponse = 4 << 10

// Post makes one request, without following redirects. The error is nil, or one that Failed classifies.
func (c *Client) Post(ctx context.Context, endpoint *url.URL, site providers.Site, header http.Header, body []byte) (Response, error) {
	transport, target, err := c.way(endpoint, site)
	if err != nil {
		return Response{}, err
	}
	release, err := c.hosts.acquire(ctx, hostName(target))
	if err != nil {
		return Response{}, err
	}
	defer release()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return Response{}, err
	}
	req.Header = header
	resp, err := transport.RoundTrip(req)
	if err != nil {
		if transport == c.transports.guarded && c.cannotExist(target, err) {
			return Response{}, errBlocked
		}
		return Response{}, err
	}
	defer resp.Body.Close()
	r := Response{Status: resp.StatusCode, Header: resp.Header}
	if !hasWords(r.Status, r.Header) {
		_, _ = io.CopyN(io.Discard, resp.Body, maxResponse)
		return r, nil
	}
	if r.Body, err = io.ReadAll(io.LimitReader(resp.Body, maxResponse)); err != nil {
		return Response{}, err // half a word would read as that of a proxy
	}
	return r, nil
}

// notToBeResolved reports whether a name must not be looked up: Tor's (RFC 7686 section 2), and this machine's (RFC 6761 section 6.3)
// unless the operator allows private addresses.
func (c *Client) notToBeResolved(host string) bool {
	return isBelow(host, "onion") || isBelow(host, "localhost") && len(c.settings.allow) == 0
}

// cannotExist reports whether a host could not be resolved because its name is not one of the public internet's. With allow_private, the
// name may be one of the operator's network, which is merely away.
func (c *Client) cannotExist(target *url.URL, err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound && len(c.settings.allow) == 0 && neverPublic(target.Hostname())
}

// Host returns the host and port of an endpoint, by which servers are told apart. It is empty if the endpoint is not a URL, and if the
// operator chose one server for all.
func (c *Client) Host(endpoint string) string {
	if c != nil && c.settings != nil && c.settings.Endpoint != nil {
		return ""
	}
	return Host(endpoint)
}

// way chooses how an endpoint is reached.
func (c *Client) way(endpoint *url.URL, site providers.Site) (*http.Transport, *url.URL, error) {
	port := portOf(endpoint)
	if !portAllowed(port) || isAdmin(net.JoinHostPort(endpoint.Hostname(), port)) {
		return nil, nil, errBlocked
	}
	if relay := c.settings.Endpoint; relay != nil {
		target := *endpoint
		target.Scheme, target.Host = relay.Scheme, relay.Host
		return c.transports.open, &target, nil
	}
	if site.Host != "" && strings.EqualFold(endpoint.Hostname(), site.Host) && port == site.Port {
		return c.transports.own, endpoint, nil
	}
	proxy, err := c.settings.Proxy(endpoint)
	switch {
	case err != nil:
		return nil, nil, err
	case proxy == nil && c.notToBeResolved(endpoint.Hostname()):
		return nil, nil, errBlocked
	case proxy == nil:
		return c.transports.guarded, endpoint, nil
	}
	// The proxy resolves names, but it needs no help to see that this is none of the public internet.
	if plainlyPrivate(endpoint.Hostname(), port, guardedDialer(c.settings.allow)) {
		return nil, nil, errBlocked
	}
	return c.transports.open, endpoint, nil
}
