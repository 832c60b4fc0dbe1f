package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
	"github.com/caddyserver/caddy/v2"

	"github.com/matrix-push/caddy-matrix-push/internal/names"
	"github.com/matrix-push/caddy-matrix-push/internal/nat64"
)

// errBlocked says that the guard kept a request from being made.
var errBlocked = errors.New("the endpoint is not an address and port of the public internet")

// errThisMachine says the same of one of this machine's own addresses.
var errThisMachine = fmt.Errorf("%w: it is one of this machine's own, which allow_private does not name", errBlocked)

const dialTimeout = 5 * time.Second

// cloudAddresses are addresses of the public internet's ranges at which a cloud answers its own machines, and nobody else. Other clouds use
// addresses that are special anyway, such as 169.254.169.254, 100.100.100.200, 192.0.0.192 and fd00:ec2::254.
var cloudAddresses = []netip.Prefix{
	netip.MustParsePrefix("168.63.129.16/32"), // Azure: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
}

// guard connects to addresses of the public internet and of the networks allowed, and to nothing else. It looks at the address that is
// dialled, after the name was resolved, so that a name cannot change its address in between.
type guard struct {
	allow     []netip.Prefix
	ranges    *ssrf.Guardian
	machine   *machine   // nil for none
	addresses *addresses // nil for no bounds
}

func newGuard(allow []netip.Prefix, m *machine, a *addresses) *guard {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	return &guard{
		allow: allow, machine: m, addresses: a,
		ranges: ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...)),
	}
}

// check returns an error if an address is not to be connected to. One that a NAT64 translates (RFC 6052) leads to the IPv4 address in it,
// which decides, unless allow_private names the address as it is: on an IPv6-only host, every IPv4-only push server has such an address.
func (g *guard) check(network, address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || isAdmin(address) {
		return errBlocked
	}
	if inner, ok := nat64.IPv4(ap.Addr()); ok && network == "tcp6" && !contains(g.allow, ap.Addr()) {
		if g.machine.has(ap.Addr()) {
			return errThisMachine
		}
		return g.check("tcp4", netip.AddrPortFrom(inner, ap.Port()).String())
	}
	if g.ranges.Safe(network, address, nil) != nil {
		return errBlocked
	}
	to, inner := ap.Addr(), isatap(ap.Addr())
	switch {
	case contains(g.allow, to):
		return nil
	case inner.IsValid() && (g.ranges.SafeAddr(inner) != nil || contains(cloudAddresses, inner) || g.machine.has(inner)), contains(cloudAddresses, to):
		return errBlocked
	case g.machine.has(to):
		return errThisMachine
	}
	return nil
}

// attempt is that to connect to a name, of which each address is dialled until one answers, two at a time if need be.
type attempt struct {
	guard *guard
	host  string // and port

	mu     sync.Mutex
	passed bool // the guard let an address pass
	busy   bool // one of these has too many connections
	ended  bool
	dialed []*connection
}

// attemptKey is where a dialer's context has the attempt.
type attemptKey struct{}

// errEnded says that an attempt is over.
var errEnded = errors.New("another address of the host was connected to")

// dialer is for one address at a time. Each is checked, and counted, before anything is sent to it.
func (g *guard) dialer() *net.Dialer {
	return &net.Dialer{
		Timeout: dialTimeout,
		ControlContext: func(ctx context.Context, network, address string, _ syscall.RawConn) error {
			if err := g.check(network, address); err != nil {
				return err
			}
			if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
				return a.dial(address)
			}
			return nil
		},
	}
}

// dial counts a connection to an address that the guard lets pass. One that allow_private names is the operator's choice, and has no bound.
func (a *attempt) dial(address string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return errEnded
	}
	a.passed = true
	ap, err := netip.ParseAddrPort(address)
	if err != nil || a.guard.addresses == nil || a.guard.allows(ap.Addr()) {
		return err
	}
	c, err := a.guard.addresses.dial(a.host, ap.Addr())
	if err != nil {
		a.busy = true
		return err
	}
	a.dialed = append(a.dialed, c)
	return nil
}

// end counts none of the attempt's connections any more but the one that was made, if one was, and returns that.
func (a *attempt) end(made net.Conn) net.Conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	var counted net.Conn = made
	var to netip.Prefix
	if made != nil {
		if remote, err := netip.ParseAddrPort(made.RemoteAddr().String()); err == nil {
			to = block(remote.Addr())
		}
	}
	for _, c := range a.dialed {
		if to.IsValid() && c.where.at == to {
			c.made(made)
			counted, to = c, netip.Prefix{}
		} else {
			c.discount()
		}
	}
	return counted
}

var errUnreachable = errors.New("those of the host's addresses that are of the public internet cannot be reached")

// dialing is how a transport connects through one of the guard's dialers. Of a name with several addresses, what net tells is the failure
// of one of them: it is blocked only if no other could have been connected to at another time.
func (g *guard) dialing(dialer *net.Dialer) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		a := &attempt{guard: g, host: address}
		conn, err := dialer.DialContext(context.WithValue(ctx, attemptKey{}, a), network, g.absolute(address))
		if err == nil {
			return a.end(conn), nil
		}
		a.end(nil)
		return nil, a.explain(err)
	}
}

// explain is why no connection was made, given what net tells of one of the addresses.
func (a *attempt) explain(err error) error {
	switch {
	case a.busy:
		return errAddressBusy
	case errors.Is(err, errBlocked) && a.passed:
		return errUnreachable
	}
	return err
}

// absolute is the address with its name as one of the DNS's root, below which no resolver looks for it in other domains: that would tell
// whether such a name exists by how long it takes. Where private networks are allowed, the operator may count on it.
func (g *guard) absolute(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || len(g.allow) > 0 || strings.HasSuffix(host, ".") {
		return address
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return address
	}
	return net.JoinHostPort(host+".", port)
}

// openDialer connects to whatever the operator named, save Caddy's admin endpoint.
func openDialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		if isAdmin(address) {
			return errBlocked
		}
		return nil
	}}
}

// isAdmin says whether an address may be that of Caddy's admin endpoint. Caddy does not tell a module what a configuration says of
// it, so that these are the default addresses; at another one, the endpoint still never gets a request: it speaks plain HTTP, or
// demands a client certificate, and all that is sent here is TLS without one.
func isAdmin(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return true
	}
	if port == "2019" || port == "2021" { // the documented local and remote defaults
		return true
	}
	_, admin, err := net.SplitHostPort(caddy.DefaultAdminListen)
	return err == nil && port == admin
}

// portAllowed keeps endpoints off the ports of other protocols.
func portAllowed(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && (n == 443 || n >= 1024)
}

// isatap is the IPv4 address that a router on the way may send what is for an address to, if its interface identifier has one (RFC 5214
// section 6.1). Any prefix may stand before it, so that the ranges of the guard say nothing of it. The other embeddings have prefixes of
// their own, which are blocked as a whole.
func isatap(to netip.Addr) (inner netip.Addr) {
	if !to.Is6() {
		return inner
	}
	b := to.As16()
	if b[8]&^0x02 != 0 || b[9] != 0 || b[10] != 0x5e || b[11] != 0xfe { // the bit is set if the IPv4 address is a unique one
		return inner
	}
	return netip.AddrFrom4([4]byte(b[12:]))
}

// allows reports whether allow_private names an address, or the IPv4 address in it.
func (g *guard) allows(ip netip.Addr) bool {
	return contains(g.allow, ip.Unmap()) || contains(g.allow, nat64.Unwrap(ip))
}

func contains(list []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// plainlyPrivate says whether a host shows by itself that the guard would keep a request from it, without its name being looked up.
func (g *guard) plainlyPrivate(host, port string) bool {
	host = strings.TrimSuffix(host, ".")
	last := names.Last(host)
	if last == "localhost" { // and whatever is below it, RFC 6761 section 6.3
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return names.IsNumber(last)
	}
	ip = ip.Unmap()
	network := "tcp6"
	if ip.Is4() {
		network = "tcp4"
	}
	return g.check(network, net.JoinHostPort(ip.String(), port)) != nil
}
