// Package nat64 finds the IPv4 address in an IPv6 address that a NAT64 translates.
package nat64

import "net/netip"

// wellKnown is the prefix that the DNS64 of an IPv6-only network adds to the address of an IPv4-only server (RFC 6052 section 2.1, RFC
// 6147). The prefix for local use, 64:ff9b:1::/48 (RFC 8215), is not globally reachable, and a prefix that an operator chose cannot be
// recognized.
var wellKnown = netip.MustParsePrefix("64:ff9b::/96")

// IPv4 returns the IPv4 address in an address with the well-known prefix; ok is false for any other address.
func IPv4(ip netip.Addr) (inner netip.Addr, ok bool) {
	if !wellKnown.Contains(ip) {
		return netip.Addr{}, false
	}
	b := ip.As16()
	return netip.AddrFrom4([4]byte(b[12:])), true
}

// Unwrap returns the IPv4 address in an address if it is IPv4-mapped or has the well-known prefix, and otherwise the address. It
// removes the zone. Both addresses reach the same host.
func Unwrap(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if inner, ok := IPv4(ip); ok {
		return inner
	}
	return ip
}
