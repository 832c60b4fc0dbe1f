package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
	"github.com/caddyserver/caddy/v2"
)

// errBlocked says that the guard kept a request from being made.
var errBlocked = errors.New("the endpoint is not an address and port of the public internet")

const dialTimeout = 5 * time.Second

// guardedDialer connects to addresses of the public internet and of the networks allowed, and to nothing else. It looks at the
// address that is dialled, after the name was resolved, so that a name cannot change its address in between.
func guardedDialer(allow []netip.Prefix) *net.Dialer {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	guardian := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	control := func(network, address string, c syscall.RawConn) error {
		if isAdmin(address) || guardian.Safe(network, address, c) != nil {
			return errBlocked
		}
		if to, inner := isatap(address); inner.IsValid() && !contains(v6, to) && guardian.SafeAddr(inner) != nil {
			return errBlocked
		}
		return nil
	}
	return &net.Dialer{
		Timeout: dialTimeout,
		Control: control,
		ControlContext: func(ctx context.Context, network, address string, c syscall.RawConn) error {
			err := control(network, address, c)
			if passed, ok := ctx.Value(passedKey{}).(*atomic.Bool); ok && err == nil {
				passed.Store(true)
			}
			return err
		},
	}
}

// passedKey is where a context has whether the guard let an address of the name pass.
type passedKey struct{}

var errUnreachable = errors.New("those of the host's addresses that are of the public internet cannot be reached")

// dialing is how a transport connects. Of a name with several addresses, what net tells is the failure of one of them: it is blocked only if
// no other could have been connected to at another time.
func dialing(dialer *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var passed atomic.Bool
		conn, err := dialer.DialContext(context.WithValue(ctx, passedKey{}, &passed), network, address)
		if errors.Is(err, errBlocked) && passed.Load() {
			return nil, errUnreachable
		}
		return conn, err
	}
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

// isatap is the address that is dialled, and the IPv4 address that a router on the way may send it to, if its interface identifier has one
// (RFC 5214 section 6.1). Any prefix may stand before it, so that the ranges of the guard say nothing of it. The other embeddings have prefixes of
// their own, which are blocked as a whole.
func isatap(address string) (to, inner netip.Addr) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !ap.Addr().Is6() {
		return to, inner
	}
	b := ap.Addr().As16()
	if b[8]&^0x02 != 0 || b[9] != 0 || b[10] != 0x5e || b[11] != 0xfe { // the bit is set if the IPv4 address is a unique one
		return to, inner
	}
	return ap.Addr(), netip.AddrFrom4([4]byte(b[12:]))
}

func contains(list []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// plainlyPrivate says whether a host shows by itself that the guard would keep a request from it, without its name being looked up.
func plainlyPrivate(host, port string, guard *net.Dialer) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "localhost" { // and whatever is below it, RFC 6761 section 6.3
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return isNumber(last)
	}
	ip = ip.Unmap()
	network := "tcp6"
	if ip.Is4() {
		network = "tcp4"
	}
	return guard.Control(network, net.JoinHostPort(ip.String(), port), nil) != nil
}

// isNumber says whether a host's last label makes inet_aton and browsers take all of it for an IPv4 address
// (https://url.spec.whatwg.org/#ends-in-a-number-checker). No top-level domain is a number, and no endpoint has to be written so.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}
