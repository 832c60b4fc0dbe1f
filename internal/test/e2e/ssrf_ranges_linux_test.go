package e2e

import (
	"net/netip"
	"testing"
)

// special are all address ranges outside the public internet, in both families: IANA's special-purpose registries
// (https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry), multicast, and what IANA has not given out
// as global unicast. The table belongs to the test. The guard is not made from it.
var special = []struct{ name, prefix string }{
	{"this network (RFC 791)", "0.0.0.0/8"},
	{"private use (RFC 1918)", "10.0.0.0/8"},
	{"shared, for carrier-grade NAT (RFC 6598)", "100.64.0.0/10"},
	{"loopback (RFC 1122)", "127.0.0.0/8"},
	{"link-local (RFC 3927)", "169.254.0.0/16"},
	{"private use (RFC 1918)", "172.16.0.0/12"},
	{"IETF protocol assignments (RFC 6890)", "192.0.0.0/24"},
	{"documentation (RFC 5737)", "192.0.2.0/24"},
	{"AS112 (RFC 7535)", "192.31.196.0/24"},
	{"AMT (RFC 7450)", "192.52.193.0/24"},
	{"6to4's relays (RFC 7526)", "192.88.99.0/24"},
	{"private use (RFC 1918)", "192.168.0.0/16"},
	{"AS112 (RFC 7534)", "192.175.48.0/24"},
	{"benchmarks (RFC 2544)", "198.18.0.0/15"},
	{"documentation (RFC 5737)", "198.51.100.0/24"},
	{"documentation (RFC 5737)", "203.0.113.0/24"},
	{"multicast (RFC 5771)", "224.0.0.0/4"},
	{"reserved (RFC 1112)", "240.0.0.0/4"},
	{"limited broadcast (RFC 919)", "255.255.255.255/32"},

	{"unspecified (RFC 4291)", "::/128"},
	{"loopback (RFC 4291)", "::1/128"},
	{"IPv4-compatible (RFC 4291)", "::/96"},
	{"IPv4-mapped (RFC 4291)", "::ffff:0:0/96"},
	{"IPv4-translated (RFC 2765)", "::ffff:0:0:0/96"},
	{"NAT64 (RFC 6052)", "64:ff9b::/96"},
	{"local NAT64 (RFC 8215)", "64:ff9b:1::/48"},
	{"discard (RFC 6666)", "100::/64"},
	{"dummy (RFC 9780)", "100:0:0:1::/64"},
	{"not given out (RFC 4291)", "::/3"},
	{"IETF protocol assignments (RFC 2928)", "2001::/23"},
	{"Teredo (RFC 4380)", "2001::/32"},
	{"benchmarks (RFC 5180)", "2001:2::/48"},
	{"AMT (RFC 7450)", "2001:3::/32"},
	{"AS112 (RFC 7535)", "2001:4:112::/48"},
	{"ORCHID (RFC 4843)", "2001:10::/28"},
	{"ORCHIDv2 (RFC 7343)", "2001:20::/28"},
	{"drones (RFC 9374)", "2001:30::/28"},
	{"documentation (RFC 3849)", "2001:db8::/32"},
	{"6to4 (RFC 3056)", "2002::/16"},
	{"AS112 (RFC 7534)", "2620:4f:8000::/48"},
	{"documentation (RFC 9637)", "3fff::/20"},
	{"not given out (RFC 4291)", "4000::/2"},
	{"segment routing (RFC 9602)", "5f00::/16"},
	{"not given out (RFC 4291)", "8000::/1"},
	{"unique local (RFC 4193)", "fc00::/7"},
	{"link-local (RFC 4291)", "fe80::/10"},
	{"site-local (RFC 3879)", "fec0::/10"},
	{"multicast (RFC 4291)", "ff00::/8"},
}

// unreachable are the ranges that the kernel never connects to. The witness cannot see attempts there, but sees all others.
var unreachable = []netip.Prefix{
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"), netip.MustParsePrefix("127.255.255.255/32"),
	netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

// edges returns the first and the last address of each special range, and the addresses just outside that are in no other range.
func edges() (inside, outside []netip.Addr) {
	var ranges []netip.Prefix
	for _, s := range special {
		ranges = append(ranges, netip.MustParsePrefix(s.prefix))
	}
	seen := make(map[netip.Addr]bool)
	add := func(list *[]netip.Addr, address netip.Addr) {
		if address.IsValid() && !seen[address] {
			seen[address] = true
			*list = append(*list, address)
		}
	}
	for _, p := range ranges {
		add(&inside, p.Addr())
		add(&inside, last(p))
		for _, neighbour := range []netip.Addr{p.Addr().Prev(), last(p).Next()} {
			if !contains(ranges, neighbour.Unmap()) {
				add(&outside, neighbour)
			}
		}
	}
	return inside, outside
}

func TestNoSpecialAddressIsConnectedTo(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	inside, outside := edges()
	f := newFence(t, outside...)
	f.start("")
	for _, address := range outside {
		f.want(bracketed(address), delivered, port443(address))
	}
	for _, address := range inside {
		f.want(bracketed(address), blocked)
		// The witness would have seen it.
		connected := f.tap.dial(port443(address))
		if seen := len(f.connected()) > 0; connected != seen || seen == contains(unreachable, address.Unmap()) {
			t.Errorf("%s: the test itself connected: %v, and the witness saw it: %v", address, connected, seen)
		}
	}
	t.Logf("%d addresses inside of special ranges, and %d just outside, in %d forms each", len(inside), len(outside), len(endpointForms))
}
