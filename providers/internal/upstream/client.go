package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
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

// Endpoint parses an endpoint's URL as RFC 8030 and the gateway's rules want it. The error does not contain it.
func Endpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Scheme != "https":
		return nil, errors.New("not an https URL")
	case u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("a URL without a host")
	case u.User != nil:
		return nil, errors.New("a URL with user information")
	}
	if _, err := strconv.ParseUint(portOf(u), 10, 16); err != nil {
		return nil, errors.New("a URL with an impossible port")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// Host is the host and port of an endpoint, by which servers are told apart; empty if it is none.
func Host(raw string) string {
	u, err := Endpoint(raw)
	if err != nil {
		return ""
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), portOf(u))
}

// Response is what matters of a push server's answer.
type Response struct {
	Status int
	Header http.Header
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
		return Response{}, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxResponse)
	return Response{Status: resp.StatusCode, Header: resp.Header}, nil
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
	case proxy == nil:
		return c.transports.guarded, endpoint, nil
	}
	if ip, err := netip.ParseAddr(endpoint.Hostname()); err == nil {
		// The proxy resolves names, but it needs no help to see that this is an address of ours.
		guard := guardedDialer(c.settings.allow)
		ip = ip.Unmap()
		network := "tcp6"
		if ip.Is4() {
			network = "tcp4"
		}
		if err := guard.Control(network, net.JoinHostPort(ip.String(), port), nil); err != nil {
			return nil, nil, err
		}
	}
	return c.transports.open, endpoint, nil
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return "443"
}

// hostName is the same for all ways to write a host, so that none of them gets more than its share.
func hostName(u *url.URL) string {
	return net.JoinHostPort(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), portOf(u))
}
