package e2e

import (
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// onlyIPv6 removes the routes to all IPv4 addresses except loopback's, as on an IPv6-only host. Addresses with NAT64's prefix still belong
// to this machine: the push server there stands for the one behind a translator.
func onlyIPv6(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("ip", "route", "del", "local", "0.0.0.0/0", "dev", "lo").CombinedOutput(); err != nil {
		t.Fatalf("%s%v", out, err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: 443, Addr: [4]byte{9, 9, 9, 9}}); err == nil {
		t.Fatal("there is a route to IPv4")
	}
}

// Guards against the reports keeperhub#1269, romm#3675 and cinny#2356: on an IPv6-only host with DNS64, every IPv4-only push server was
// blocked.
func TestOnAnIPv6OnlyHostPublicPushServersAreReachedThroughNAT64AndPrivateOnesAreNot(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	onlyIPv6(t)
	nat64 := func(v4 string) netip.AddrPort { return port443(netip.MustParseAddr("64:ff9b::" + v4)) }
	f := newFence(t, nat64(abroad).Addr(), nat64("10.9.0.1").Addr())
	f.names.useDNS64()
	f.start("allow_private 10.9.0.0/16")

	f.want("public.test", delivered, nat64(abroad))
	f.want("[64:ff9b::909:909]", delivered, nat64(abroad))
	// A name with an IPv6 address gets no NAT64 address (RFC 6147 section 5.1.1).
	f.names.set("both.public.test", []string{abroad, "2620:fe::9"})
	f.want("both.public.test", delivered, netip.MustParseAddrPort("[2620:fe::9]:443"))
	// Of several addresses, only the public one is connected to.
	f.names.set("several.public.test", []string{"10.0.0.1", abroad, "127.0.0.1"})
	f.want("several.public.test", delivered, nat64(abroad))
	// allow_private applies to NAT64 addresses, too.
	f.names.set("allowed.public.test", []string{"10.9.0.1"})
	f.want("allowed.public.test", delivered, nat64("10.9.0.1"))

	for _, private := range []string{
		"127.0.0.1", "10.0.0.1", "10.8.255.255", "169.254.169.254", "100.64.0.1", "172.16.0.1", "192.168.1.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
		"198.18.0.1", "192.0.0.170", "168.63.129.16",
	} {
		f.names.set("private.public.test", []string{private})
		f.want("private.public.test", blocked)
		to := nat64(private)
		f.want("["+to.Addr().String()+"]", blocked)
		// The witness would have seen it.
		if !f.tap.dial(to) || len(f.connected()) != 1 {
			t.Errorf("%s: a connection is not seen", to)
		}
	}
	// The prefix for local use (RFC 8215) is not globally reachable, whatever address is in it.
	f.names.set("local.public.test", []string{"64:ff9b:1::909:909"})
	f.want("local.public.test", blocked)

	// The homeserver does not learn of it, and the operator sees that it is blocked.
	d := endpointForms[0].device(f, "private.public.test")
	status, answer := f.gateway.adminDo(http.MethodPost, "/matrix_push/send", compose(map[string]any{"event_id": "$test"}, []device{d}))
	if status != http.StatusOK || !strings.Contains(answer, `"blocked"`) {
		t.Errorf("%d %s", status, answer)
	}
	// A push server that fails behind NAT64 counts as failing, not as blocked.
	d = endpointForms[0].device(f, "public.test")
	f.service.Answer(path(d), providertest.Answer{Status: http.StatusServiceUnavailable, Times: 1})
	if got, to := f.push(d); got != unresolved || len(to) != 1 || to[0] != nat64(abroad) {
		t.Errorf("the result is %s, with connections to %v", got, to)
	}
}
