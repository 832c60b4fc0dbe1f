package endpoint

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

func TestTheGuardLetsNothingThroughButThePublicInternet(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, network, address string
		allowed                bool
	}{
		{"a public IPv4 address", "tcp4", "9.9.9.9:443", true},
		{"a public IPv6 address", "tcp6", "[2620:fe::9]:8443", true},
		{"loopback", "tcp4", "127.0.0.1:443", false},
		{"the rest of loopback", "tcp4", "127.255.255.254:443", false},
		{"10/8", "tcp4", "10.0.0.1:443", false},
		{"172.16/12", "tcp4", "172.31.255.254:443", false},
		{"192.168/16", "tcp4", "192.168.1.1:443", false},
		{"link-local, where clouds keep credentials", "tcp4", "169.254.169.254:443", false},
		{"carrier-grade NAT", "tcp4", "100.64.0.1:443", false},
		{"Azure's answers for its own machines", "tcp4", "168.63.129.16:443", false},
		{"ISATAP of that", "tcp6", "[2620:fe::5efe:a83f:8110]:443", false},
		{"its neighbour", "tcp4", "168.63.129.17:443", true},
		{"Alibaba's credentials", "tcp4", "100.100.100.200:443", false},
		{"Oracle's credentials", "tcp4", "192.0.0.192:443", false},
		{"Amazon's credentials over IPv6", "tcp6", "[fd00:ec2::254]:443", false},
		{"Google's credentials over IPv6", "tcp6", "[fd20:ce::254]:443", false},
		{"benchmarks", "tcp4", "198.18.0.1:443", false},
		{"documentation", "tcp4", "192.0.2.1:443", false},
		{"240/4", "tcp4", "240.0.0.1:443", false},
		{"broadcast", "tcp4", "255.255.255.255:443", false},
		{"multicast", "tcp4", "224.0.0.1:443", false},
		{"the unspecified address", "tcp4", "0.0.0.0:443", false},
		{"this network", "tcp4", "0.1.2.3:443", false},
		{"IPv6's unspecified address", "tcp6", "[::]:443", false},
		{"IPv6's loopback", "tcp6", "[::1]:443", false},
		{"unique local", "tcp6", "[fd00::1]:443", false},
		{"IPv6's link-local", "tcp6", "[fe80::1]:443", false},
		{"IPv6's link-local with a zone", "tcp6", "[fe80::1%lo]:443", false},
		{"a public address with a zone", "tcp6", "[2620:fe::9%lo]:443", false},
		{"IPv6's multicast", "tcp6", "[ff02::1]:443", false},
		{"IPv4-mapped loopback", "tcp6", "[::ffff:127.0.0.1]:443", false},
		{"IPv4-compatible loopback", "tcp6", "[::7f00:1]:443", false},
		{"NAT64 of loopback", "tcp6", "[64:ff9b::7f00:1]:443", false},
		{"local NAT64", "tcp6", "[64:ff9b:1::7f00:1]:443", false},
		{"6to4 of loopback", "tcp6", "[2002:7f00:1::]:443", false},
		{"Teredo", "tcp6", "[2001::1]:443", false},
		{"IPv6's documentation", "tcp6", "[2001:db8::1]:443", false},
		{"ISATAP of loopback", "tcp6", "[2620:fe::5efe:7f00:1]:443", false},
		{"ISATAP of a unique private address", "tcp6", "[2620:fe::200:5efe:a00:1]:443", false},
		{"ISATAP of a public address", "tcp6", "[2620:fe::5efe:909:909]:443", true},
		{"what is nearly ISATAP", "tcp6", "[2620:fe::100:5efe:7f00:1]:443", true},
		{"Caddy's admin port on the public internet", "tcp4", "9.9.9.9:2019", false},
		{"Caddy's remote admin port", "tcp4", "9.9.9.9:2021", false},
		{"something that is not TCP", "udp4", "9.9.9.9:443", false},
		{"something that is not an address", "tcp4", "push.example:443", false},
	}
	guard := newGuard(nil, nil, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if err := guard.check(test.network, test.address); (err == nil) != test.allowed {
				t.Errorf("%s: %v", test.address, err)
			}
		})
	}
}

func TestAllowPrivateOpensWhatItListsAndNothingElse(t *testing.T) {
	t.Parallel()
	allow, err := prefixes([]string{"10.1.0.0/16", "192.168.1.7", "fd00:1::/32", "::1", "2620:fe::/48", "168.63.129.16"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		network, address string
		allowed          bool
	}{
		{"tcp4", "10.1.2.3:443", true},
		{"tcp4", "10.2.0.1:443", false},
		{"tcp4", "192.168.1.7:443", true},
		{"tcp4", "192.168.1.8:443", false},
		{"tcp6", "[fd00:1::5]:443", true},
		{"tcp6", "[fd00:2::5]:443", false},
		{"tcp6", "[::1]:443", true},
		{"tcp4", "127.0.0.1:443", false},
		{"tcp6", "[::ffff:10.1.2.3]:443", false},
		{"tcp4", "10.1.2.3:2019", false},
		{"tcp6", "[2620:fe::5efe:7f00:1]:443", true},
		{"tcp6", "[2620:ff::5efe:7f00:1]:443", false},
		{"tcp6", "[2620:ff::5efe:a01:203]:443", true},
		{"tcp6", "[::1]:2019", false},
		{"tcp4", "9.9.9.9:443", true},
		{"tcp4", "168.63.129.16:443", true},
	}
	guard := newGuard(allow, nil, nil)
	for _, test := range tests {
		t.Run(test.address, func(t *testing.T) {
			t.Parallel()
			if err := guard.check(test.network, test.address); (err == nil) != test.allowed {
				t.Errorf("%v", err)
			}
		})
	}
}

// The server listens on 127.0.0.1, at the port in each of these URLs, and would notice a connection.
func TestAHostileEndpointIsNeverContacted(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}})
	tests := []struct{ name, endpoint string }{
		{"loopback", "https://127.0.0.1:PORT/"},
		{"localhost", "https://localhost:PORT/"},
		{"the unspecified address", "https://0.0.0.0:PORT/"},
		{"IPv4-mapped loopback", "https://[::ffff:127.0.0.1]:PORT/"},
		{"IPv4-mapped loopback in hexadecimal", "https://[::ffff:7f00:1]:PORT/"},
		{"10/8", "https://10.0.0.1:PORT/"},
		{"link-local", "https://169.254.169.254:PORT/latest/meta-data"},
		// Guards against a mistake of ntfy: its allow-list was a regular expression over the whole URL.
		{"a path that looks like an allowed host", "https://127.0.0.1:PORT/https://push.example/"},
		{"a query that looks like an allowed host", "https://127.0.0.1:PORT/?https://push.example/"},
		{"a fragment that looks like an allowed host", "https://127.0.0.1:PORT#@push.example/"},
		{"an escaped path", "https://127.0.0.1:PORT/%2e%2e//push.example"},
		{"Caddy's admin endpoint", "https://127.0.0.1:2019/load"},
		{"Caddy's admin endpoint by name", "https://localhost:2019/load"},
		{"a port of another protocol", "https://127.0.0.1:22/"},
		{"the highest of those", "https://127.0.0.1:1023/"},
		{"Caddy's admin endpoint with a zero before its port", "https://9.9.9.9:02019/"},
		{"HTTP's port", "https://127.0.0.1:80/"},
		{"port 0", "https://127.0.0.1:0/"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want(t, post(t.Context(), t, c, at(t, server, test.endpoint), providers.Site{}), providers.KindDropped, "blocked")
		})
	}
	t.Cleanup(func() { wantConnections(t, server, 0) })
}

func TestAnAllowedNetworkIsContacted(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created)
	c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1/32"}})
	want(t, post(t.Context(), t, c, server.URL, providers.Site{}), providers.KindDelivered, "delivered")
	want(t, post(t.Context(), t, c, at(t, server, "https://127.0.0.2:PORT"), providers.Site{}), providers.KindDropped, "blocked")
}

func TestWhatANameResolvesToIsLookedAt(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created, "push.example")
	tests := []struct{ name, host, address string }{
		{"a name of loopback", "push.example", "127.0.0.1"},
		{"a name of a private network", "push.example", "10.0.0.1"},
		{"a name of the unspecified address", "push.example", "0.0.0.0"},
		{"a name of IPv6's loopback", "push.example", "::1"},
		{"a name of IPv4-mapped loopback", "push.example", "::ffff:127.0.0.1"},
		{"an address in octal, for a resolver that reads it", "0177.0.0.0x1", "127.0.0.1"},
		{"an address in hexadecimal, for a resolver that reads it", "0x7f000001", "127.0.0.1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := resolving(t, netip.MustParseAddr(test.address), Options{Options: network.Options{TrustedCA: server.CAFile, Proxy: "none"}})
			o := post(t.Context(), t, c, at(t, server, "https://"+test.host+":PORT/"), providers.Site{})
			want(t, o, providers.KindDropped, "blocked")
		})
	}
	for _, host := range []string{"2130706433", "017700000001", "127.1"} {
		t.Run(host+" is nothing that Go takes for an address or a name", func(t *testing.T) {
			t.Parallel()
			c := resolving(t, netip.MustParseAddr("127.0.0.1"), Options{Options: network.Options{TrustedCA: server.CAFile, Proxy: "none"}})
			o := post(t.Context(), t, c, at(t, server, "https://"+host+":PORT/"), providers.Site{})
			want(t, o, providers.KindDropped, "blocked")
		})
	}
	t.Run("a name of an allowed network is contacted", func(t *testing.T) {
		t.Parallel()
		allowing := providertest.NewTLSServer(t, created, "push.example")
		c := resolving(t, netip.MustParseAddr("127.0.0.1"),
			Options{Options: network.Options{TrustedCA: allowing.CAFile, Proxy: "none"}, AllowPrivate: []string{"127.0.0.1"}})
		o := post(t.Context(), t, c, at(t, allowing, "https://push.example:PORT/"), providers.Site{})
		want(t, o, providers.KindDelivered, "delivered")
	})
	t.Cleanup(func() { wantConnections(t, server, 0) })
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			inside := providertest.NewTLSServer(t, created)
			server := providertest.NewTLSServer(t, http.RedirectHandler(inside.URL, status))
			c := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile}, AllowPrivate: []string{"127.0.0.1"}})
			want(t, post(t.Context(), t, c, server.URL, providers.Site{}), providers.KindRetry, "redirect")
			wantConnections(t, inside, 0)
		})
	}
}

func TestAnEndpointIsAnHTTPSURLWithAHostAlone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		endpoint string
		usable   bool
	}{
		{"https://push.example/a?b=c#d", true},
		{"HTTPS://push.example/a", true},
		{"https://push.example:8443", true},
		{"https://[2001:db8::1]:8443/a", true},
		{"", false},
		{"push.example", false},
		{"http://push.example/secret", false},
		{"file:///secret", false},
		{"https:push.example/secret", false},
		{"https:///secret", false},
		{"https://:443/secret", false},
		{"https://user@push.example/secret", false},
		{"https://user:secret@push.example/", false},
		{"https://push.example:secret/", false},
		{"https://push.example:65535/", true},
		{"https://push.example:65536/secret", false},
		{"https://push example/secret", false},
		{"https://push.example/%zz/secret", false},
		{"https://push.example/\nsecret", false},
		{"https://push.invalid/secret", false},
		{"https://PUSH.Invalid.:8443/secret", false},
		{"https://invalid/secret", false},
		{"https://invalid.example/", true},
		{"https://notinvalid/", true},
		// Whether these can be reached depends on allow_private, the site, endpoint or proxy.
		{"https://localhost:8443/up/demo", true},
		{"https://127.0.0.1:8443/", true},
		{"https://[::1]/", true},
		{"https://ntfy/", true},
		{"https://ntfy.local/", true},
		{"https://ntfy.internal/", true},
		{"https://ntfy.home.arpa/", true},
		{"https://ntfy.test/", true},
		{"https://abc.onion/", true},
		{"https://push.example:22/", true},
	}
	for _, test := range tests {
		t.Run(test.endpoint, func(t *testing.T) {
			t.Parallel()
			u, err := Parse(test.endpoint)
			if (err == nil) != test.usable {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				wantNoSecret(t, providers.Unusable("bad_endpoint", err))
			} else if u.Fragment != "" {
				t.Errorf("the fragment would be sent: %s", u)
			}
		})
	}
}

func wantConnections(t *testing.T, s *providertest.TLSServer, n int) {
	t.Helper()
	if got := s.Connections(); got != n {
		t.Errorf("%d connections were made, want %d", got, n)
	}
}

// resolving returns a client for which every name has this address, or does not exist if the address is zero.
func resolving(t *testing.T, address netip.Addr, o Options) *Client {
	t.Helper()
	return resolvingBy(t, func() (net.Conn, error) {
		client, server := net.Pipe()
		go answerDNS(server, address)
		return client, nil
	}, o)
}

// resolvingBy returns a client whose resolver connects like this.
func resolvingBy(t *testing.T, dial func() (net.Conn, error), o Options) *Client {
	t.Helper()
	s, err := o.resolve()
	if err != nil {
		t.Fatal(err)
	}
	g := newGuard(s.allow, nil, nil)
	dialer := g.dialer()
	dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return dial() }}
	c := &Client{settings: s, guard: g, transports: newTransports(s, g)}
	c.transports.guarded = newTransport(g.dialing(dialer), s.Roots)
	t.Cleanup(func() { _ = c.transports.Destruct() })
	return c
}

// answerDNS answers one query over TCP (RFC 1035 section 4.2.2) with the address, if it is of the type asked for, or with NXDOMAIN.
func answerDNS(conn net.Conn, address netip.Addr) {
	defer conn.Close()
	length := make([]byte, 2)
	if _, err := io.ReadFull(conn, length); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(length))
	if _, err := io.ReadFull(conn, query); err != nil {
		return
	}
	end := 12 // end of the question
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5
	data, kind := address.AsSlice(), byte(1) // A
	if address.Is6() {
		kind = 28 // AAAA
	}
	answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[12:end]...)
	if !address.IsValid() {
		answer[3] |= 3 // NXDOMAIN
	}
	if address.IsValid() && query[end-3] == kind {
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, byte(len(data)))
		answer = append(answer, data...)
	}
	_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
}
