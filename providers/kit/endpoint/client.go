package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/matrix-push/caddy-matrix-push/internal/names"
	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/internal/posting"
)

// Client posts pushes to URLs that users chose. It is safe for concurrent use.
type Client struct {
	ctx        caddy.Context
	settings   *settings
	guard      *guard
	transports *transports
	hosts      hosts
	key        string
}

// shared is the pool key of what all clients of the process share.
type shared struct{}

// surroundings are what all clients of the process share: this machine's addresses, and the limits for all other addresses.
type surroundings struct {
	*addresses
	machine *machine
}

// NewClient checks the options and makes a client. It shares its connections with every client that has the same options. Close must be
// called once.
func NewClient(ctx caddy.Context, o *Options) (*Client, error) {
	if o == nil {
		return nil, errors.New("the client has no options")
	}
	s, err := o.resolve()
	if err != nil {
		return nil, err
	}
	common, _, err := pool.LoadOrNew(shared{}, func() (caddy.Destructor, error) {
		return surroundings{newAddresses(time.Now), &machine{now: time.Now, lookUp: net.InterfaceAddrs}}, nil
	})
	if err != nil {
		return nil, err
	}
	around := common.(surroundings)
	if err := around.machine.err(); err != nil {
		ctx.Logger().Warn("this machine's addresses cannot be read; endpoints at them are not recognized", zap.Error(err))
	}
	c := &Client{ctx: ctx, settings: s, guard: newGuard(s.allow, around.machine, around.addresses), key: s.key()}
	t, _, err := pool.LoadOrNew(c.key, func() (caddy.Destructor, error) { return newTransports(s, c.guard), nil })
	if err != nil {
		_, _ = pool.Delete(shared{})
		return nil, err
	}
	c.transports = t.(*transports)
	return c, nil
}

// Start must be called when the configuration goes live, because only then are Caddy's own certificate authorities known.
func (c *Client) Start() { c.transports.trustInternal(c.ctx) }

// Close releases the connections. It does nothing for a nil Client.
func (c *Client) Close() error {
	if c == nil {
		return nil
	}
	_, err := pool.Delete(c.key)
	_, sharedErr := pool.Delete(shared{})
	return errors.Join(err, sharedErr)
}

// errNotParsed means that a URL does not come from [Parse].
var errNotParsed = errors.New("the endpoint is not an https URL with a host, and without user information")

// Post makes one request to an endpoint that [Parse] returned. It follows no redirect. The site is the push's; its own push server may
// be in a private network. If the answer comes after the context is done, Post returns the context's error. [Failed] classifies errors.
func (c *Client) Post(ctx context.Context, endpoint *url.URL, site providers.Site, header http.Header, body []byte) (Response, error) {
	w, err := c.wayTo(endpoint, site, header)
	if err != nil {
		return Response{}, err
	}
	transport, target := w.transport, w.target
	release, connected, err := c.hosts.acquire(ctx, hostName(target))
	if err != nil {
		return Response{}, err
	}
	defer release()
	used := usage{connected: connected}
	if transport == c.transports.guarded || connected != nil {
		ctx = used.watch(ctx)
	}
	defer used.end()
	req := posting.New(ctx, target, w.header, body)
	resp, err := transport.RoundTrip(req)
	if err == nil && ctx.Err() != nil {
		// net/http may still read what comes while it closes the connection of HTTP/1.1. That can be a 200 that nobody meant: a server
		// written in Go sends it by itself when a handler returns because its client has gone.
		_ = resp.Body.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		if transport == c.transports.guarded {
			err = c.explain(target, err)
		}
		return Response{}, err
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		used.took()
	}
	defer resp.Body.Close()
	return responseOf(resp, req, body)
}

// notToBeResolved reports whether a name must not be looked up. These are Tor's names (RFC 7686 section 2) and, unless the operator
// allows private addresses, this machine's (RFC 6761 section 6.3).
func (c *Client) notToBeResolved(host string) bool {
	return names.IsBelow(host, "onion") || names.IsBelow(host, "localhost") && len(c.settings.allow) == 0
}

// explain returns what an error means if the host's name does not exist. If no private network is allowed, a name that is not on the
// public internet can never exist. With allow_private, it may belong to the operator's network, and only be missing for now.
func (c *Client) explain(target *url.URL, err error) error {
	var dns *net.DNSError
	switch {
	case !errors.As(err, &dns) || !dns.IsNotFound:
		return err
	case len(c.settings.allow) == 0 && neverPublic(target.Hostname()):
		return errBlocked
	default:
		return errNoSuchName
	}
}

// usage is the connection that a request is sent on.
type usage struct {
	on        *connection // nil if the transport does not count them
	connected func()      // called when there is one, unless it is nil
}

// watch returns a context that records the connection of the request. That happens before the request is sent, in the goroutine that
// sends it.
func (u *usage) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		u.end() // the request is sent again if its first connection was closed in the meantime
		if u.connected != nil {
			u.connected()
		}
		secure, ok := info.Conn.(*tls.Conn)
		if !ok {
			return
		}
		if u.on, ok = secure.NetConn().(*connection); ok {
			u.on.use()
		}
	}})
}

// took is called when the push was accepted.
func (u *usage) took() {
	if u.on != nil {
		u.on.took()
	}
}

// end is called when the request has ended.
func (u *usage) end() {
	if u.on != nil {
		u.on.leave()
		u.on = nil
	}
}

// Host returns the host and port of an endpoint, which identify its server. It is empty if the endpoint is not valid, or if the
// operator set one server for all. A provider's Host may return it.
func (c *Client) Host(endpoint string) string {
	u, err := Parse(endpoint)
	if err != nil {
		return ""
	}
	return c.HostOf(u)
}

// HostOf is [Client.Host] for an endpoint that [Parse] returned.
func (c *Client) HostOf(endpoint *url.URL) string {
	if c != nil && c.settings != nil && c.settings.Endpoint != nil {
		return ""
	}
	return hostName(endpoint)
}

// way is how a request reaches an endpoint.
type way struct {
	transport *http.Transport
	target    *url.URL
	header    http.Header
}

// wayTo returns how a request with these headers reaches an endpoint.
func (c *Client) wayTo(endpoint *url.URL, site providers.Site, header http.Header) (w way, err error) {
	if endpoint == nil || endpoint.Scheme != "https" || endpoint.Hostname() == "" || endpoint.User != nil || isMadeUp(endpoint) {
		return w, errNotParsed
	}
	if w.header = header; header == nil {
		w.header = make(http.Header)
	}
	if w.transport, w.target, err = c.way(endpoint, site); err == nil && w.transport == c.transports.own {
		w.header = markOwn(w.header, site)
	}
	return w, err
}

// isMadeUp reports whether a URL cannot come from a text. Its members are written into the request as they are.
func isMadeUp(u *url.URL) bool {
	return u.Opaque != "" || strings.ContainsFunc(u.RawQuery, func(c rune) bool { return c <= ' ' || c == 0x7f })
}

// way returns the transport, and the URL to send to.
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
		if !c.settings.paths.allow(endpoint) {
			return nil, nil, errOwnPath
		}
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
	// The proxy resolves names, but some hosts are private at first sight.
	if c.guard.plainlyPrivate(endpoint.Hostname(), port) {
		return nil, nil, errBlocked
	}
	return c.transports.open, endpoint, nil
}
