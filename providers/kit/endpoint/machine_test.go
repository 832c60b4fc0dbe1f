package endpoint

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// machineAt returns a machine with these addresses.
func machineAt(addresses ...string) *machine {
	return &machine{now: time.Now, lookUp: func() (list []net.Addr, err error) {
		for _, address := range addresses {
			list = append(list, &net.IPNet{IP: net.ParseIP(address), Mask: net.CIDRMask(24, 32)})
		}
		return list, nil
	}}
}

func TestThisMachinesOwnAddressesAreNotConnectedTo(t *testing.T) {
	t.Parallel()
	allow, err := prefixes([]string{"8.8.4.4", "2620:fe:1::/48"})
	if err != nil {
		t.Fatal(err)
	}
	g := newGuard(allow, machineAt("9.9.9.9", "8.8.4.4", "2620:fe::9", "2620:fe:1::9"), nil)
	for _, test := range []struct {
		name, network, address string
		want                   error
	}{
		{"its public address", "tcp4", "9.9.9.9:443", errThisMachine},
		{"at another port", "tcp4", "9.9.9.9:8443", errThisMachine},
		{"its IPv6 address", "tcp6", "[2620:fe::9]:443", errThisMachine},
		{"ISATAP of its address", "tcp6", "[2600::5efe:909:909]:443", errBlocked},
		{"a neighbour", "tcp4", "9.9.9.10:443", nil},
		{"an IPv6 neighbour", "tcp6", "[2620:fe::a]:443", nil},
		{"its address that allow_private has", "tcp4", "8.8.4.4:443", nil},
		{"its IPv6 address that allow_private has", "tcp6", "[2620:fe:1::9]:443", nil},
		{"the admin endpoint at an allowed address", "tcp4", "8.8.4.4:2019", errBlocked},
	} {
		if got := g.check(test.network, test.address); !errors.Is(got, test.want) || (got == nil) != (test.want == nil) {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
	o := Failed(&net.OpError{Op: "dial", Err: errThisMachine})
	want(t, o, providers.KindDropped, "blocked")
	if !o.Blocked || !errors.Is(o.Err, errThisMachine) {
		t.Errorf("the outcome is %+v", o)
	}
}

func TestAnAddressThatTheMachineGetsIsKnownSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		var list []net.Addr
		var failure error
		m := &machine{now: time.Now, lookUp: func() ([]net.Addr, error) { looks++; return list, failure }}
		ip := netip.MustParseAddr("9.9.9.9")
		for range 1000 {
			if m.has(ip) {
				t.Fatal("it has no address yet")
			}
		}
		if looks != 1 {
			t.Errorf("it was looked %d times in no time", looks)
		}
		list = []net.Addr{&net.IPNet{IP: net.ParseIP("9.9.9.9")}, &net.TCPAddr{}}
		time.Sleep(machineTime)
		if !m.has(ip) || !m.has(netip.MustParseAddr("::ffff:9.9.9.9")) {
			t.Error("the new address is not known")
		}
		list, failure = nil, errors.New("not now")
		time.Sleep(machineTime)
		if !m.has(ip) || m.err() == nil {
			t.Errorf("an address is forgotten because they could not be read: %v", m.err())
		}
	})
}

func TestLoopbackIsAmongThisMachinesAddresses(t *testing.T) {
	t.Parallel()
	m := &machine{now: time.Now, lookUp: net.InterfaceAddrs}
	if err := m.err(); err != nil || !m.has(netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("it is not: %v", err)
	}
}

func TestClientsKnowThisMachinesAddresses(t *testing.T) {
	t.Parallel()
	if g := newClient(t, Options{}).guard; g.machine == nil || g.addresses == nil || !g.machine.has(netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("the guard is %+v", g)
	}
	if first, second := newClient(t, Options{}), newClient(t, Options{AllowPrivate: []string{"10.0.0.1"}}); first.guard.addresses != second.guard.addresses {
		t.Error("connections of two apps are bounded each for itself")
	}
}
