package endpoint

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// inNAT64 returns an IPv4 address as DNS64 writes it (RFC 6052 section 2.2).
func inNAT64(v4 netip.Addr) netip.Addr {
	b := netip.MustParseAddr("64:ff9b::").As16()
	copy(b[12:], v4.AsSlice())
	return netip.AddrFrom16(b)
}

// lastOf returns the last address of a range.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

func TestAnAddressOfNAT64IsJudgedByTheIPv4AddressInIt(t *testing.T) {
	t.Parallel()
	const iana4 = "https://www.iana.org/assignments/iana-ipv4-special-registry"
	tests := []struct {
		source, block string
		allowed       bool
	}{
		{"keeperhub#1269: a public push server without an AAAA record", "9.9.9.9/32", true},
		{"RFC 6052 section 3.1: what is global is translated", "1.1.1.0/24", true},
		{"just before 10/8", "9.255.255.255/32", true},
		{"just behind 10/8", "11.0.0.0/32", true},
		{"just behind loopback", "128.0.0.0/32", true},
		{"just behind CGNAT", "100.128.0.0/32", true},
		{iana4 + ": this network (RFC 791)", "0.0.0.0/8", false},
		{iana4 + ": private use (RFC 1918)", "10.0.0.0/8", false},
		{iana4 + ": shared (RFC 6598)", "100.64.0.0/10", false},
		{iana4 + ": loopback (RFC 1122)", "127.0.0.0/8", false},
		{iana4 + ": link-local (RFC 3927)", "169.254.0.0/16", false},
		{"cloud credentials", "169.254.169.254/32", false},
		{iana4 + ": private use (RFC 1918)", "172.16.0.0/12", false},
		{iana4 + ": IETF protocol assignments (RFC 6890)", "192.0.0.0/24", false},
		{"RFC 7050: ipv4only.arpa", "192.0.0.170/31", false},
		{iana4 + ": documentation (RFC 5737)", "192.0.2.0/24", false},
		{iana4 + ": 6to4's relays (RFC 7526)", "192.88.99.0/24", false},
		{iana4 + ": private use (RFC 1918)", "192.168.0.0/16", false},
		{iana4 + ": benchmarks (RFC 2544)", "198.18.0.0/15", false},
		{iana4 + ": documentation (RFC 5737)", "198.51.100.0/24", false},
		{iana4 + ": documentation (RFC 5737)", "203.0.113.0/24", false},
		{"multicast (RFC 5771)", "224.0.0.0/4", false},
		{iana4 + ": reserved (RFC 1112)", "240.0.0.0/4", false},
		{iana4 + ": limited broadcast (RFC 919)", "255.255.255.255/32", false},
		{"Azure's answers for its own machines", "168.63.129.16/32", false},
	}
	guard := newGuard(nil, nil, nil)
	for _, test := range tests {
		t.Run(test.source+" "+test.block, func(t *testing.T) {
			t.Parallel()
			block := netip.MustParsePrefix(test.block)
			for _, v4 := range []netip.Addr{block.Addr(), lastOf(block)} {
				for _, to := range []struct {
					network string
					ip      netip.Addr
				}{{"tcp4", v4}, {"tcp6", inNAT64(v4)}} {
					if err := guard.check(to.network, netip.AddrPortFrom(to.ip, 443).String()); (err == nil) != test.allowed {
						t.Errorf("%s: %v", to.ip, err)
					}
				}
			}
		})
	}
}

// The other rows of IANA's registry for IPv6, https://www.iana.org/assignments/iana-ipv6-special-registry, and addresses that only look
// like NAT64. They contain a public IPv4 address where there is room for one.
func TestNoOtherSpecialAddressIsLetThrough(t *testing.T) {
	t.Parallel()
	guard := newGuard(nil, nil, nil)
	for _, test := range []struct{ source, address string }{
		{"local NAT64 (RFC 8215)", "64:ff9b:1::909:909"},
		{"local NAT64, the last of it", "64:ff9b:1:ffff:ffff:ffff:909:909"},
		{"local NAT64 with a prefix of 48 bits (RFC 6052 section 2.2)", "64:ff9b:1:909:9:900::"},
		{"just behind the well-known prefix", "64:ff9b::1:909:909"},
		{"just before the well-known prefix", "64:ff9a:ffff:ffff:ffff:ffff:909:909"},
		{"the well-known prefix with a zone", "64:ff9b::909:909%lo"},
		{"IPv4-mapped (RFC 4291), which Go dials as IPv4", "::ffff:9.9.9.9"},
		{"IPv4-compatible (RFC 4291)", "::909:909"},
		{"IPv4-translated (RFC 2765)", "::ffff:0:909:909"},
		{"6to4 (RFC 3056)", "2002:909:909::1"},
		{"Teredo (RFC 4380)", "2001:0:909:909::f6f6:f6f6"},
		{"unspecified", "::"},
		{"loopback", "::1"},
		{"discard (RFC 6666)", "100::1"},
		{"dummy (RFC 9780)", "100:0:0:1::1"},
		{"IETF protocol assignments (RFC 2928)", "2001:1::1"},
		{"benchmarks (RFC 5180)", "2001:2::1"},
		{"documentation (RFC 3849)", "2001:db8::1"},
		{"documentation (RFC 9637)", "3fff::1"},
		{"segment routing (RFC 9602)", "5f00::1"},
		{"unique local (RFC 4193)", "fc00::1"},
		{"link-local (RFC 4291)", "fe80::1"},
		{"multicast (RFC 4291)", "ff02::1"},
	} {
		if guard.check("tcp6", net.JoinHostPort(test.address, "443")) == nil {
			t.Errorf("%s: %s passes", test.source, test.address)
		}
	}
	for _, network := range []string{"udp6", "tcp4", "tcp"} {
		if guard.check(network, "[64:ff9b::909:909]:443") == nil {
			t.Errorf("%s passes", network)
		}
	}
	if guard.check("tcp6", "[64:ff9b::909:909]:2019") == nil {
		t.Error("Caddy's admin port passes")
	}
}

func TestAllowPrivateNamesAnAddressOfNAT64AsItIsOrByItsIPv4Address(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		allow, address string
		allowed        bool
	}{
		{"10.1.0.0/16", "64:ff9b::10.1.2.3", true},
		{"10.1.0.0/16", "64:ff9b::10.2.0.1", false},
		{"64:ff9b::a01:0/112", "64:ff9b::10.1.2.3", true},
		{"64:ff9b::a01:0/112", "64:ff9b::10.2.0.1", false},
		{"64:ff9b::a01:0/112", "64:ff9b::9.9.9.9", true},
		{"64:ff9b::/96", "64:ff9b::127.0.0.1", true},
		{"64:ff9b:1::/48", "64:ff9b:1::10.1.2.3", true},
		{"168.63.129.16", "64:ff9b::168.63.129.16", true},
		{"::1", "64:ff9b::127.0.0.1", false},
	} {
		allow, err := prefixes([]string{test.allow})
		if err != nil {
			t.Fatal(err)
		}
		a := newAddresses(nil)
		g := newGuard(allow, nil, a)
		ip := netip.MustParseAddr(test.address)
		if err := g.check("tcp6", netip.AddrPortFrom(ip, 443).String()); (err == nil) != test.allowed {
			t.Errorf("with %s, %s: %v", test.allow, ip, err)
		}
	}
	// And addresses that the operator allowed have no limit on connections, in either form.
	g := newGuard([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("64:ff9b::a02:0/112")}, nil, nil)
	for address, want := range map[string]bool{
		"10.1.2.3": true, "64:ff9b::10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::10.2.2.3": true, "10.2.2.3": false, "64:ff9b::9.9.9.9": false,
	} {
		if got := g.allows(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestThisMachineIsNotReachedThroughNAT64(t *testing.T) {
	t.Parallel()
	g := newGuard(nil, machineAt("9.9.9.9", "64:ff9b::808:808"), nil)
	for address, want := range map[string]error{"64:ff9b::9.9.9.9": errThisMachine, "64:ff9b::8.8.8.8": errThisMachine, "64:ff9b::9.9.9.10": nil} {
		if err := g.check("tcp6", net.JoinHostPort(address, "443")); !errors.Is(err, want) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestConnectionsThroughNAT64AreBoundedByTheIPv4AddressTheyLeadTo(t *testing.T) {
	t.Parallel()
	at := func(address string) netip.Prefix { return block(netip.MustParseAddr(address)) }
	if at("64:ff9b::9.9.9.9") != at("9.9.9.9") || at("64:ff9b::9.9.9.9") == at("64:ff9b::9.9.9.10") {
		t.Errorf("they count as %s, %s and %s", at("9.9.9.9"), at("64:ff9b::9.9.9.9"), at("64:ff9b::9.9.9.10"))
	}
	if at("64:ff9b:1::9.9.9.9") != at("64:ff9b:1::9.9.9.10") {
		t.Error("what is not NAT64 counts by the IPv4 address in it")
	}
}

func TestAProxyIsAskedForAPublicAddressOfNAT64Only(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created, "64:ff9b::909:909")
	proxy := newConnectProxy(t, server.Listener.Addr().String())
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile, Proxy: proxy.URL}})
	want(t, post(t.Context(), t, c, "https://[64:FF9B::9.9.9.9]/", providers.Site{}), providers.KindDelivered, "delivered")
	for _, endpoint := range []string{
		"https://[64:ff9b::127.0.0.1]/", "https://[64:ff9b::a00:1]/", "https://[64:ff9b::169.254.169.254]/", "https://[64:ff9b:1::909:909]/",
		"https://[64:ff9b::909:909%25lo]/",
	} {
		want(t, post(t.Context(), t, c, endpoint, providers.Site{}), providers.KindDropped, "blocked")
	}
	if asked := proxy.requests(); len(asked) != 1 || asked[0] != "CONNECT [64:ff9b::909:909]:443" {
		t.Errorf("the proxy was asked for %q", asked)
	}
}

func TestAnEndpointAtAnAddressOfNAT64HasOneSpelling(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"https://[64:ff9b::909:909]/", "https://[64:FF9B:0::9.9.9.9]:443/", "https://[0064:ff9b::0909:0909]:0443/"} {
		if got := Host(endpoint); got != "[64:ff9b::909:909]:443" {
			t.Errorf("%s is at %s", endpoint, got)
		}
	}
}
