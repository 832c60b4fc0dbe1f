package upstream

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
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
	return &net.Dialer{Timeout: dialTimeout, Control: func(network, address string, c syscall.RawConn) error {
		if isAdmin(address) || guardian.Safe(network, address, c) != nil {
			return errBlocked
		}
		return nil
	}}
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
