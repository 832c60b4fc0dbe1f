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
	"github.com/matrix-push/caddy-matrix-push/providers/internal/batched"
)

// errBlocked means that the guard blocked a request.
var errBlocked = errors.New("the endpoint is not at an address and port of the public internet")

// errThisMachine means the same for one of this machine's own addresses.
var errThisMachine = fmt.Errorf("%w: it is at one of this machine's own, which allow_private does not list", errBlocked)

const dialTimeout = 5 * time.Second

// cloudAddresses are addresses in public ranges at which a cloud answers only its own machines. Other clouds use addresses that are
// special anyway, such as 169.254.169.254, 100.100.100.200, 192.0.0.192 and fd00:ec2::254.
var cloudAddresses = []netip.Prefix{
	netip.MustParsePrefix("168.63.129.16/32"), // Azure: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
}

// guard connects only to addresses of the public internet and of the allowed networks. It checks the address that is being dialled,
// after the name was resolved, so a name cannot change its address in between.
type guard struct {
	allow     []netip.Prefix
	ranges    *ssrf.Guardian
	machine   *machine   // nil for none
	addresses *addresses // nil for no limits
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

// check returns an error if an address must not be connected to. A NAT64 address (RFC 6052) leads to the IPv4 address in it, which
// therefore decides, unless allow_private lists the NAT64 address itself. On an IPv6-only host, every IPv4-only push server has such an
// address.
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

// attempt is an attempt to connect to a name. Its addresses are dialled until one answers, sometimes two at a time.
type attempt struct {
	guard *guard
	host  string // and port

	mu     sync.Mutex
	passed bool // the guard allowed an address
	busy   bool // an allowed address has too many connections
	ended  bool
	dialed []*connection
}

// attemptKey is the key of the attempt in a dialer's context.
type attemptKey struct{}

// errEnded means that an attempt is over.
var errEnded = errors.New("another address of the host was connected to")

// dialer returns a dialer that checks and counts each address before anything is sent to it.
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

// dial counts a connection to an address that the guard allows. An address that allow_private lists is the operator's choice and has no
// limit.
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

// end stops counting the attempt's connections, except the one that was made, if any, and returns that.
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

var errUnreachable = errors.New("the host's public addresses cannot be reached")

// dialing returns how a transport connects through one of the guard's dialers. For a name with several addresses, net reports the
// failure of only one of them. The name is blocked only if no other address could be connected to at another time.
func (g *guard) dialing(dialer *net.Dialer) batched.DialFunc {
	dial := batched.Dial(dialer.DialContext)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		a := &attempt{guard: g, host: address}
		conn, err := dial(context.WithValue(ctx, attemptKey{}, a), network, g.absolute(address))
		if err == nil {
			return a.end(conn), nil
		}
		a.end(nil)
		return nil, a.explain(err)
	}
}

// explain returns why no connection was made, given the error that net reports for one of the addresses.
func (a *attempt) explain(err error) error {
	switch {
	case a.busy:
		return errAddressBusy
	case errors.Is(err, errBlocked) && a.passed:
		return errUnreachable
	}
	return err
}

// absolute returns the address with its name made absolute, so no resolver searches for it in other domains. The time that takes would
// reveal whether such a name exists. If private networks are allowed, the operator may rely on that search.
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

// dialOpen connects to whatever the operator configured, except Caddy's admin endpoint.
var dialOpen = batched.Dial((&net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
	if isAdmin(address) {
		return errBlocked
	}
	return nil
}}).DialContext)

// isAdmin reports whether an address may be that of Caddy's admin endpoint. Caddy does not show a module what the configuration says
// about it, so these are the default addresses. At another address, the endpoint still never gets a request. It speaks plain HTTP or
// demands a client certificate, and everything sent here is TLS without one.
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

// portAllowed reports whether an endpoint may have this port. It excludes the ports of other protocols.
func portAllowed(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && (n == 443 || n >= 1024)
}

// isatap returns the IPv4 address to which a router on the path may send a packet for this address, if its interface identifier
// contains one (RFC 5214 section 6.1). Any prefix may precede it, so the guard's ranges do not cover it. The other embeddings have
// their own prefixes, which are blocked as a whole.
func isatap(to netip.Addr) (inner netip.Addr) {
	if !to.Is6() {
		return inner
	}
	b := to.As16()
	if b[8]&^0x02 != 0 || b[9] != 0 || b[10] != 0x5e || b[11] != 0xfe { // the bit is set if the IPv4 address is globally unique
		return inner
	}
	return netip.AddrFrom4([4]byte(b[12:]))
}

// allows reports whether allow_private lists an address, or the IPv4 address in it.
func (g *guard) allows(ip netip.Addr) bool {
	return contains(g.allow, ip.Unmap()) || contains(g.allow, nat64.Unwrap(ip))
}

func contains(list []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// plainlyPrivate reports whether a host is one that the guard would block, as far as the host itself shows it, without looking up its
// name.
func (g *guard) plainlyPrivate(host, port string) bool {
	host = strings.TrimSuffix(host, ".")
	last := names.Last(host)
	if last == "localhost" { // and every name below it, RFC 6761 section 6.3
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
