package nat64_test

import (
	"net/netip"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/nat64"
)

func TestAnAddressOfTheWellKnownPrefixIsTheIPv4AddressInIt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, address, inner, unwrapped string }{
		{"RFC 6052 section 2.4", "64:ff9b::192.0.2.33", "192.0.2.33", "192.0.2.33"},
		{"in hexadecimal", "64:ff9b::909:909", "9.9.9.9", "9.9.9.9"},
		{"the first of the prefix", "64:ff9b::", "0.0.0.0", "0.0.0.0"},
		{"the last of the prefix", "64:ff9b::ffff:ffff", "255.255.255.255", "255.255.255.255"},
		{"with a zone, which Go dials with", "64:ff9b::909:909%eth0", "", "9.9.9.9"},
		{"just before the prefix", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", "", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"just behind the prefix", "64:ff9b::1:0:0", "", "64:ff9b::1:0:0"},
		{"the prefix for local use (RFC 8215)", "64:ff9b:1::909:909", "", "64:ff9b:1::909:909"},
		{"another prefix", "2001:db8::909:909", "", "2001:db8::909:909"},
		{"IPv4-mapped", "::ffff:9.9.9.9", "", "9.9.9.9"},
		{"IPv4-translated (RFC 2765)", "::ffff:0:909:909", "", "::ffff:0:909:909"},
		{"IPv4-compatible (RFC 4291)", "::909:909", "", "::909:909"},
		{"IPv4", "9.9.9.9", "", "9.9.9.9"},
		{"link-local with a zone", "fe80::1%eth0", "", "fe80::1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ip := netip.MustParseAddr(tt.address)
			inner, ok := nat64.IPv4(ip)
			if ok != (tt.inner != "") || ok && inner.String() != tt.inner {
				t.Errorf("the IPv4 address is %s, %v", inner, ok)
			}
			if got := nat64.Unwrap(ip); got.String() != tt.unwrapped {
				t.Errorf("unwrapped it is %s", got)
			}
		})
	}
	if ip, ok := nat64.IPv4(netip.Addr{}); ok || nat64.Unwrap(netip.Addr{}).IsValid() {
		t.Errorf("no address is %s", ip)
	}
}
