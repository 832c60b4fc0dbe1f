package endpoint

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// privateNames can never be on the public internet. Each may be in a private network.
var privateNames = []string{
	"ntfy", "NTFY.", "ntfy.local", "ntfy.LOCAL.", "ntfy.internal", "ntfy.home.arpa", "push.test", "a.localhost", "abcdefgh.onion", "push.alt",
	"127.1", "2130706433", "0x7f.1",
}

// Guards against retries until the ttl for names that no resolver will ever know.
func TestAPrivateNameThatDoesNotResolveIsBlockedAndNoOutageOfDNS(t *testing.T) {
	t.Parallel()
	for _, name := range privateNames {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := resolving(t, netip.Addr{}, Options{Options: network.Options{Proxy: "none"}})
			o := post(t.Context(), t, c, "https://"+name+"/up/secret", providers.Site{})
			want(t, o, providers.KindDropped, "blocked")
			if !o.Blocked {
				t.Error("it is not Blocked")
			}
			wantNoSecret(t, o)
		})
	}
}

func TestAPrivateNameIsLeftToTheNetworkWhereAPrivateNetworkIsAllowed(t *testing.T) {
	t.Parallel()
	for _, name := range privateNames {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := resolving(t, netip.Addr{}, Options{Options: network.Options{Proxy: "none"}, AllowPrivate: []string{"10.0.0.0/8"}})
			o := post(t.Context(), t, c, "https://"+name+"/up/secret", providers.Site{})
			if strings.HasSuffix(name, ".onion") {
				want(t, o, providers.KindDropped, "blocked") // only a proxy can reach it
				return
			}
			wantUnreachable(t, o, "dns")
		})
	}
}

func TestAPublicNameThatDoesNotResolveIsForLater(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"push.example", "local.example.org", "push.notlocal.example", "push.locals", "arpa.example.net", "push.example.net.",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := resolving(t, netip.Addr{}, Options{Options: network.Options{Proxy: "none"}})
			o := post(t.Context(), t, c, "https://"+name+"/up/secret", providers.Site{})
			wantUnreachable(t, o, "dns")
			if !o.NoSuchName {
				t.Error("the gateway is not told that there is no such name")
			}
		})
	}
}

// With a search list, a resolver would look for a stranger's name in the operator's domains too, and take longer for names that do not
// exist.
func TestAResolverIsAskedForAStrangersNameOnly(t *testing.T) {
	t.Parallel()
	allow, _ := prefixes([]string{"10.0.0.1"})
	for _, test := range []struct {
		address, want string
		allow         []netip.Prefix
	}{
		{"push.example:443", "push.example.:443", nil},
		{"push:443", "push.:443", nil},
		{"push.example.:443", "push.example.:443", nil},
		{"9.9.9.9:443", "9.9.9.9:443", nil},
		{"[2620:fe::9]:443", "[2620:fe::9]:443", nil},
		{"[fe80::1%lo]:443", "[fe80::1%lo]:443", nil},
		{"ntfy:443", "ntfy:443", allow}, // such as a name in the operator's cluster
	} {
		if got := newGuard(test.allow, nil, nil).absolute(test.address); got != test.want {
			t.Errorf("%s becomes %s, want %s", test.address, got, test.want)
		}
	}
}

// A home network may have public addresses behind such names.
func TestAnOutageOfDNSSaysNothingAboutAPrivateName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ntfy", "ntfy.local", "ntfy.home.arpa", "push.example"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := resolvingBy(t, func() (net.Conn, error) { return nil, errors.New("refused") }, Options{Options: network.Options{Proxy: "none"}})
			o := post(t.Context(), t, c, "https://"+name+"/up/secret", providers.Site{})
			wantUnreachable(t, o, "dns")
			if o.NoSuchName {
				t.Error("an outage is taken for an answer")
			}
		})
	}
}

func TestWhatIsNotToBeLookedUpIsNot(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"abcdefgh.onion", "a.ONION.", "localhost", "a.b.localhost"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Bool
			c := resolvingBy(t, func() (net.Conn, error) {
				asked.Store(true)
				return nil, errors.New("refused")
			}, Options{Options: network.Options{Proxy: "none"}})
			want(t, post(t.Context(), t, c, "https://"+name+"/up/secret", providers.Site{}), providers.KindDropped, "blocked")
			if asked.Load() {
				t.Error("the resolver was asked")
			}
		})
	}
}

func TestAPrivateNameIsReachedWhereTheOperatorSaysHow(t *testing.T) {
	t.Parallel()
	server := providertest.NewTLSServer(t, created, "127.0.0.1", "ntfy.local", "abcdefgh.onion")
	relay := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile, Endpoint: server.URL}})
	proxy := newConnectProxy(t, server.Listener.Addr().String())
	proxied := newClient(t, Options{Options: network.Options{TrustedCA: server.CAFile, Proxy: proxy.URL}})
	for _, name := range []string{"ntfy.local", "abcdefgh.onion"} {
		want(t, post(t.Context(), t, relay, "https://"+name+"/up/secret", providers.Site{}), providers.KindDelivered, "delivered")
		want(t, post(t.Context(), t, proxied, "https://"+name+"/up/secret", providers.Site{}), providers.KindDelivered, "delivered")
	}
}

func TestTheHostIsTheOperatorsChoiceIfOneServerGetsEverything(t *testing.T) {
	t.Parallel()
	const endpoint = "https://Push.Example:8443/up/secret"
	if got := newClient(t, Options{}).Host(endpoint); got != "push.example:8443" {
		t.Errorf("got %q", got)
	}
	if got := newClient(t, Options{Options: network.Options{Endpoint: "https://relay.example"}}).Host(endpoint); got != "" {
		t.Errorf("with endpoint, got %q", got)
	}
	if got := new(Client).Host("http://push.example/"); got != "" {
		t.Errorf("of what is not an endpoint, got %q", got)
	}
}

// wantUnreachable checks that the push is retried because of the network.
func wantUnreachable(t *testing.T, o providers.Outcome, reason string) {
	t.Helper()
	want(t, o, providers.KindRetry, reason)
	if o.Cause != providers.CauseNetwork {
		t.Errorf("the cause is %d", o.Cause)
	}
	wantNoSecret(t, o)
}
