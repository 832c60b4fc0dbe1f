package e2e

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestAllowPrivateConnectsToWhatItListsAlone(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	ranges := []string{"10.1.0.0/16", "192.168.1.7", "127.0.0.0/8", "fd00:1::/32", "::1", "64:ff9b::a00:0/104"}
	var inside, outside []netip.Addr
	for _, r := range ranges {
		p, err := netip.ParsePrefix(r)
		if err != nil {
			address := netip.MustParseAddr(r)
			p = netip.PrefixFrom(address, address.BitLen())
		}
		inside = append(inside, p.Addr(), last(p))
		outside = append(outside, p.Addr().Prev(), last(p).Next())
	}
	inside = slices.DeleteFunc(inside, func(a netip.Addr) bool { return contains(unreachable, a) })
	public := []string{"126.255.255.255", "128.0.0.0", "64:ff9b::9ff:ffff", "64:ff9b::b00:0"}
	outside = slices.DeleteFunc(outside, func(a netip.Addr) bool { return slices.Contains(public, a.String()) })
	f := newFence(t, inside...)
	f.start("allow_private " + strings.Join(ranges, " "))
	for _, address := range inside {
		f.want(bracketed(address), delivered, port443(address))
	}
	for _, address := range outside {
		f.want(bracketed(address), blocked)
	}
	// An allowed address is the same in IPv4-mapped form, and different in every other form.
	f.want("[::ffff:10.1.2.3]:8443", unresolved, netip.MustParseAddrPort("10.1.2.3:8443"))
	for _, e := range embeddings[1:] {
		if ip := e.embed([4]byte{10, 1, 2, 3}); !strings.HasPrefix(e.name, "NAT64") && !strings.HasPrefix(e.name, "ISATAP") {
			f.want(bracketed(ip), blocked)
		}
	}
	// Caddy's admin endpoint stays closed even if all of loopback is allowed.
	for _, authority := range []string{"127.0.0.1:2019", "[::1]:2019", "localhost:2019", "127.0.0.1:02019", "[::ffff:127.0.0.1]:2019", "127.0.0.1:2021"} {
		f.want(authority, blocked)
	}
}

func TestNoAdminEndpointIsConnectedTo(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	f := newFence(t)
	// The environment names one endpoint, and only the configuration names another.
	f.gateway.env = append(f.gateway.env, "CADDY_ADMIN=127.0.0.1:2999")
	f.start("allow_private 127.0.0.0/8")
	f.want("127.0.0.1:2999", blocked)
	f.want("localhost:2999", blocked)
	f.want("127.0.0.1:02999", blocked)

	f.gateway.kill()
	f.gateway.env = f.gateway.env[:len(f.gateway.env)-1]
	port := freePort(t)
	config := gatewayConfig(strings.ReplaceAll(f.service.global("rejected memory"), "allow_private 127.0.0.0/8", ""), "matrix_push")
	f.gateway.start(strings.Replace(config, "admin unix/{dir}/admin.sock", "admin 127.0.0.1:"+strconv.Itoa(port), 1))
	f.connected()
	f.want("127.0.0.1:"+strconv.Itoa(port), blocked)
	f.want("localhost:"+strconv.Itoa(port), blocked)
	if !f.tap.dial(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))) || len(f.connected()) != 1 {
		t.Error("there is no admin endpoint")
	}
}

func TestOnlyTheOwnSiteMayBeAnywhere(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	f := newFence(t)
	f.start("")
	port, port2 := strconv.Itoa(f.gateway.port), strconv.Itoa(f.gateway.port2)
	f.names.set("gateway.test", []string{"10.0.0.1"})
	f.names.set("other.test", []string{"10.0.0.2"})
	f.names.set("stranger.test", []string{"10.0.0.3"})

	// Only its name opens the push server behind the same site.
	var connected []netip.AddrPort
	for _, form := range endpointForms {
		_, to := f.push(form.device(f, "gateway.test:"+port))
		connected = append(connected, to...)
	}
	if len(connected) == 0 || slices.ContainsFunc(connected, func(to netip.AddrPort) bool { return to != netip.MustParseAddrPort("10.0.0.1:"+port) }) {
		t.Errorf("there were connections to %v", connected)
	}
	for _, authority := range []string{
		"gateway.test", "gateway.test.:" + port, "a.gateway.test:" + port, "other.test:" + port,
		"10.0.0.1:" + port, "stranger.test:" + port,
	} {
		f.names.set(strings.TrimSuffix(strings.Split(authority, ":")[0], "."), []string{"10.0.0.1"})
		f.want(authority, blocked)
	}
	// There is no push server at another port, so the port is a typo.
	for _, authority := range []string{"gateway.test:8443", "gateway.test:" + port2, "gateway.test.:8443"} {
		f.want(authority, unusable)
	}

	// A site that serves every name: a name that a stranger chose does not prove whose it is.
	f.names.set("stranger.test", []string{"10.0.0.3"})
	f.hs = &homeserver{t: t, client: f.gateway.client(false), url: "https://stranger.test:" + port2 + "/_matrix/push/v1/notify"}
	r, err := f.hs.do(http.MethodGet, f.hs.url, "")
	if err != nil || r.Status != http.StatusOK {
		t.Fatalf("the site for every name answers %d %s: %v", r.Status, r.Body, err)
	}
	f.want("stranger.test:"+port2, blocked)
}
