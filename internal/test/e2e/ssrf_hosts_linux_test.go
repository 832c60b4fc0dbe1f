package e2e

import (
	"net/netip"
	"strings"
	"testing"
)

// embeddings are the ways in which an IPv6 address can contain an IPv4 address.
var embeddings = []struct {
	name  string
	embed func(v4 [4]byte) netip.Addr
}{
	{"IPv4-mapped (RFC 4291)", at96("::ffff:0:0")},
	{"IPv4-compatible (RFC 4291)", at96("::")},
	{"IPv4-translated (RFC 2765)", at96("::ffff:0:0:0")},
	{"NAT64 (RFC 6052)", at96("64:ff9b::")},
	{"local NAT64 with a prefix of 96 bits (RFC 8215)", at96("64:ff9b:1::")},
	{"local NAT64 with a prefix of 48 bits (RFC 6052 section 2.2)", func(v4 [4]byte) netip.Addr {
		a := netip.MustParseAddr("64:ff9b:1::").As16()
		a[6], a[7], a[9], a[10] = v4[0], v4[1], v4[2], v4[3]
		return netip.AddrFrom16(a)
	}},
	{"6to4 (RFC 3056)", func(v4 [4]byte) netip.Addr {
		a := netip.MustParseAddr("2002::1").As16()
		copy(a[2:], v4[:])
		return netip.AddrFrom16(a)
	}},
	{"Teredo's server (RFC 4380)", func(v4 [4]byte) netip.Addr {
		a := netip.MustParseAddr("2001::1").As16()
		copy(a[4:], v4[:])
		return netip.AddrFrom16(a)
	}},
	{"Teredo's client (RFC 4380)", func(v4 [4]byte) netip.Addr {
		a := netip.MustParseAddr("2001::").As16()
		for i := range v4 {
			a[12+i] = ^v4[i]
		}
		return netip.AddrFrom16(a)
	}},
	{"ISATAP (RFC 5214)", at96("2600::5efe:0:0")},
	{"ISATAP, universal (RFC 5214)", at96("2600::200:5efe:0:0")},
	{"ISATAP, link-local (RFC 5214)", at96("fe80::5efe:0:0")},
}

// at96 puts an address into the last 32 bits.
func at96(prefix string) func([4]byte) netip.Addr {
	return func(v4 [4]byte) netip.Addr {
		a := netip.MustParseAddr(prefix).As16()
		copy(a[12:], v4[:])
		return netip.AddrFrom16(a)
	}
}

func TestNoSpecialAddressIsConnectedToInsideAnother(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	f := newFence(t)
	f.start("")
	for _, address := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"} {
		for _, e := range embeddings {
			ip := e.embed(netip.MustParseAddr(address).As4())
			f.want("["+ip.StringExpanded()+"]", blocked)
			f.names.set("embedded.public.test", []string{ip.String()})
			f.want("embedded.public.test", blocked)
			if t.Failed() {
				t.Fatal(e.name)
			}
		}
	}
}

// notations are hosts that a parser might read as this machine, or as no host, and the result of a push to them. The resolver answers every
// name with this machine's address: the worst case.
var notations = []struct {
	authority string
	want      verdict
}{
	{"127.0.0.1", blocked},
	{"127.0.0.1:", blocked},
	{"127.0.0.1.", blocked},
	{"127.0.0.1:00443", blocked},
	{"localhost", blocked},
	{"localhost.", blocked},
	{"LocalHost", blocked},
	{"localhost.localdomain", blocked},
	{"anything.localhost", blocked},
	{"anything.localhost.", blocked},
	{"127.0.0.1.public.test", blocked},

	// Numbers, which some resolvers read as inet_aton does.
	{"2130706433", blocked},
	{"0x7f000001", blocked},
	{"0X7F000001", blocked},
	{"017700000001", blocked},
	{"0177.0.0.1", blocked},
	{"0177.0.0.0x1", blocked},
	{"0x7f.0.0.1", blocked},
	{"0x7f.1", blocked},
	{"127.1", blocked},
	{"127.0.1", blocked},
	{"127.0.0.01", blocked},
	{"127.000.000.001", blocked},
	{"127.0.0.1.1", blocked},
	{"127.0.0.257", blocked},
	{"0", blocked},
	{"0x0", blocked},
	{"00", blocked},
	{"3232235777", blocked},
	{"0xa9fea9fe", blocked},
	{"169.254.43518", blocked},

	// Spellings of IPv6 addresses.
	{"[::1]", blocked},
	{"[::1]:", blocked},
	{"[0:0:0:0:0:0:0:1]", blocked},
	{"[0000:0000:0000:0000:0000:0000:0000:0001]", blocked},
	{"[::127.0.0.1]", blocked},
	{"[::FFFF:127.0.0.1]", blocked},
	{"[::ffff:7f00:1]", blocked},
	{"[::1%25lo]", blocked},
	{"[::1%251]", blocked},
	{"[fe80::1%25lo]", blocked},
	{"[::ffff:127.0.0.1%25lo]", blocked},
	{"[2620:fe::9%25lo]", blocked},
	{"[::1%lo]", unusable},
	{"[127.0.0.1]", unusable},
	{"[localhost]", unusable},
	{"[::1]]", unusable},
	{"[[::1]]", unusable},
	{"::1", unusable},

	// Names that become ASCII only when they are used (UTS 46).
	{"１２７.０.０.１", blocked},
	{"127。0。0。1", blocked},
	{"127．0．0．1", blocked},
	{"①②⑦.⓪.⓪.①", blocked},
	{"ｌｏｃａｌｈｏｓｔ", blocked},
	{"ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", blocked},
	{"LOCALHO\u017fT", blocked},
	{"local\u00adhost", blocked},
	{"127.0.0.1\u200b", blocked},
	{"%EF%BC%9127.0.0.1", blocked},

	// Characters that parsers disagree about.
	{"%31%32%37.0.0.1", unusable},
	{"127%2e0.0.1", unusable},
	{"%6c%6f%63%61%6c%68%6f%73%74", unusable},
	{"127.0.0.1%00.public.test", unusable},
	{"127.0.0.1%2f.public.test", unusable},
	{"127.0.0.1%09", unusable},
	{"127.0.0.1\x00.public.test", unusable},
	{"127.0.0.1\t", unusable},
	{"127.0.0.1\n", unusable},
	{"127.0.0.1\r\nHost: public.test", unusable},
	{" 127.0.0.1", unusable},
	{"127.0.0.1 ", unusable},
	{"127.0.0.1\\", unusable},
	{"127.0.0.1\\@public.test", unusable},
	{"public.test\\@127.0.0.1", unusable},
	{"127.0.0.1\\.public.test", unusable},
	{"127.0.0.1:443:443", unusable},
	{"127.0.0.1:-443", unusable},
	{"127.0.0.1:+443", unusable},
	{"127.0.0.1:0x1bb", unusable},
	{"127.0.0.1:４４３", unusable},
	{"127.0.0.1:https", unusable},
	{"127.0.0.1#@public.test", blocked},
	{"127.0.0.1?@public.test", blocked},
	{"127.0.0.1;@public.test", unusable},
	{"127.0.0.1/@public.test", blocked},
	{"127.0.0.1,public.test", blocked},
	{"*", blocked},
	{".", blocked},
	{"..", blocked},
	{"127..0.0.1", blocked},
	{strings.Repeat("a", 64) + ".test", blocked},
	{strings.Repeat("a.", 200) + "test", blocked},

	// A user name before the host, which is another one.
	{"public.test@127.0.0.1", unusable},
	{"public.test:443@127.0.0.1", unusable},
	{"@127.0.0.1", unusable},
	{":@127.0.0.1", unusable},
	{"127.0.0.1@public.test", unusable},
	{"a@b@127.0.0.1", unusable},
	{"%40127.0.0.1", unusable},
	{"public.test%40127.0.0.1", unusable},

	// Ports of other protocols, of Caddy's admin endpoint, and of nothing.
	{"public.test:0", blocked},
	{"public.test:1", blocked},
	{"public.test:22", blocked},
	{"public.test:25", blocked},
	{"public.test:80", blocked},
	{"public.test:444", blocked},
	{"public.test:1023", blocked},
	{"public.test:2019", blocked},
	{"public.test:02019", blocked},
	{"public.test:2021", blocked},
	{"127.0.0.1:2019", blocked},
	{"localhost:2019", blocked},
	{"[::1]:2019", blocked},
	{"127.0.0.1:02019", blocked},
	{"public.test:65536", unusable},
	{"public.test:66555", unusable}, // 2019 in 16 bits
	{"public.test:99999999999999999999", unusable},
}

func TestNoNotationOfASpecialAddressIsConnectedTo(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	f := newFence(t)
	f.names.setOthers("127.0.0.1", "::1")
	f.start("")
	f.want("public.test", delivered, netip.MustParseAddrPort(abroad+":443"))
	f.want("PUBLIC.test.:443", delivered, netip.MustParseAddrPort(abroad+":443"))
	for _, n := range notations {
		f.want(n.authority, n.want)
	}
}
