package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/network"
	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// victim is an address that somebody points names at.
var victim = netip.MustParseAddr("9.9.9.9")

// closing is a connection that can only be closed.
type closing struct {
	net.Conn
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// dialed makes a connection that carries a request.
func dialed(t *testing.T, a *addresses, host string, ip netip.Addr) *connection {
	t.Helper()
	c, err := a.dial(host, ip)
	if err != nil {
		t.Fatalf("%s: %v", host, err)
	}
	c.made(new(closing))
	c.use()
	return c
}

// refused returns how many of the names may not be connected to at an address.
func refused(a *addresses, ip netip.Addr, names int) (n int) {
	for i := range names {
		c, err := a.dial(fmt.Sprintf("n%d.evil.test:443", i), ip)
		if err != nil {
			n++
			continue
		}
		c.made(new(closing))
		c.use()
	}
	return n
}

// Finding 8: n%d.evil.test, all at one address, got 384 connections.
func TestAnAddressGetsABoundedNumberOfConnectionsWhateverNamesLeadThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAddresses(time.Now)
		if n := refused(a, victim, 512); n != 512-unprovenConnections {
			t.Errorf("%d of 512 were refused", n)
		}
		time.Sleep(time.Minute) // the limit is not only one of rate
		if n := refused(a, victim, 100); n != 100 {
			t.Errorf("%d of 100 were refused while all are under way", n)
		}
		if n := refused(a, victim.Next(), unprovenConnections); n != 0 {
			t.Errorf("%d were refused at another address", n)
		}
	})
}

func TestAnIPv6NetworkOfOneOwnerIsOneAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAddresses(time.Now)
		ip := netip.MustParseAddr("2620:fe::9")
		for i := range 100 {
			if _, err := a.dial(fmt.Sprint(i), ip); (err == nil) != (i < unprovenConnections) {
				t.Fatalf("connection %d: %v", i, err)
			}
			ip = ip.Next()
		}
		if _, err := a.dial("other", netip.MustParseAddr("2620:fe:0:1::9")); err != nil {
			t.Errorf("the next network: %v", err)
		}
		if block(netip.MustParseAddr("::ffff:9.9.9.9")) != block(victim) || block(netip.MustParseAddr("fe80::1%lo")) != block(netip.MustParseAddr("fe80::2")) {
			t.Error("an address is another one if it is written otherwise")
		}
	})
}

func TestAnAddressIsConnectedToSoOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAddresses(time.Now)
		made := 0
		for range 600 { // for a minute, with each connection closed at once
			for range 20 {
				if c, err := a.dial("flood.test:443", victim); err == nil {
					c.discount()
					made++
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		if want := connectBurst + 60*connectRate; made < want-connectRate || made > want {
			t.Errorf("%d connections within a minute, want %d", made, want)
		}
	})
}

func TestAnAddressThatTakesPushesIsConnectedToMoreOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAddresses(time.Now)
		dialed(t, a, "push.test:443", victim).took()
		count := func(host func(int) string) (n int) {
			for i := range 5000 {
				c, err := a.dial(host(i), victim)
				if err == nil {
					c.discount()
					n++
				}
			}
			return n
		}
		other := func(i int) string { return fmt.Sprintf("n%d.test:443", i) }
		if n := count(other); n != provenFactor*connectBurst {
			t.Errorf("%d connections for other hosts there, want %d", n, provenFactor*connectBurst)
		}
		// The others have used up nothing of the host that accepted a push.
		if n := count(func(int) string { return "push.test:443" }); n != provenFactor*connectBurst {
			t.Errorf("%d connections for the host, want %d", n, provenFactor*connectBurst)
		}
		time.Sleep(provenTime)
		if n := count(other); n != connectBurst {
			t.Errorf("%d connections an hour later, want %d", n, connectBurst)
		}
	})
}

func TestManyHostsThatTakePushesMayShareAnAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAddresses(time.Now)
		for i := range 1000 {
			dialed(t, a, fmt.Sprintf("honest%d.test:443", i), victim).took()
		}
		if len(a.busy) != 0 {
			t.Errorf("%d connections count", len(a.busy[block(victim)].counting))
		}
	})
}

func TestStrangersAtASharedAddressKeepOffNoHostThatTakesPushes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAddresses(time.Now)
		c := dialed(t, a, "honest.test:443", victim)
		c.took()
		_ = c.Close()
		refused(a, victim, 512)
		for range unprovenConnections + 1 { // not only one connection
			dialed(t, a, "honest.test:443", victim)
		}
		if _, err := a.dial("honest.test:443", victim.Next()); err != nil {
			t.Fatal(err)
		}
		if n := a.proven.Len(); n != 1 {
			t.Errorf("%d hosts at addresses took a push: a name that leads elsewhere takes no proof along", n)
		}
	})
}

func TestAProofIsForTheAddressThatTookThePush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAddresses(time.Now)
		for i := range 100 { // an attacker's names, which later lead to another address
			dialed(t, a, fmt.Sprintf("n%d.evil.test:443", i), victim.Next()).took()
		}
		if n := refused(a, victim, 100); n != 100-unprovenConnections {
			t.Errorf("%d of 100 were refused", n)
		}
	})
}

func TestAConnectionThatCarriesNothingGivesWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAddresses(time.Now)
		var all []*connection
		for i := range unprovenConnections {
			all = append(all, dialed(t, a, fmt.Sprint(i), victim))
		}
		time.Sleep(time.Minute)
		if _, err := a.dial("one", victim); !errors.Is(err, errAddressBusy) {
			t.Fatalf("all are in use: %v", err)
		}
		all[7].leave()
		if _, err := a.dial("one", victim); err != nil {
			t.Fatal(err)
		}
		for i, c := range all {
			if closed := c.Conn.(*closing).closed; closed != (i == 7) {
				t.Errorf("connection %d is closed: %v", i, closed)
			}
		}
		_ = all[7].Close() // whoever finds it closed closes it again
		if n := len(a.busy[block(victim)].counting); n != unprovenConnections {
			t.Errorf("%d connections count", n)
		}
	})
}

func TestAConnectionOnWhichTLSIsAgreedUponDoesNotGiveWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAddresses(time.Now)
		for i := range unprovenConnections {
			c, err := a.dial(fmt.Sprint(i), victim)
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 { // the first one is still being dialled, forever
				c.made(new(closing))
			}
		}
		time.Sleep(handshakeTimeout)
		if _, err := a.dial("one", victim); !errors.Is(err, errAddressBusy) {
			t.Errorf("within the time for TLS: %v", err)
		}
		time.Sleep(time.Second)
		if n := refused(a, victim, unprovenConnections); n != 1 {
			t.Errorf("%d were refused later, want only the one in place of that which is dialled", n)
		}
	})
}

func TestWhatIsRememberedOfAddressesIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAddresses(time.Now)
		kept := dialed(t, a, "kept", victim)
		ip := netip.MustParseAddr("11.0.0.0")
		for i := range maxAddresses + maxProven {
			c := dialed(t, a, fmt.Sprint("host", i), ip)
			c.took()
			_ = c.Close()
			ip = ip.Next()
		}
		if a.quiet.Len() != maxAddresses || a.proven.Len() != maxProven || len(a.busy) != 1 {
			t.Errorf("remembered are %d addresses, %d of hosts and %d in use", a.quiet.Len(), a.proven.Len(), len(a.busy))
		}
		if n := refused(a, victim, unprovenConnections); n != 1 {
			t.Errorf("%d were refused: a connection that is there was forgotten", n)
		}
		_ = kept.Close()
		_ = kept.Close()
	})
}

// bounded returns a client for which every name leads to the server's address, which is limited like one of the public internet.
func bounded(t *testing.T, server *providertest.TLSServer) *Client {
	t.Helper()
	s, err := (&Options{Options: network.Options{TrustedCA: server.CAFile, Proxy: "none"}, AllowPrivate: []string{"127.0.0.1"}}).resolve()
	if err != nil {
		t.Fatal(err)
	}
	g := newGuard(s.allow, nil, newAddresses(time.Now))
	dialer := g.dialer()
	dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answerDNS(server, netip.MustParseAddr("127.0.0.1"))
		return client, nil
	}}
	g.allow = nil // its ranges still allow it
	c := &Client{settings: s, guard: g, transports: newTransports(s, g)}
	c.transports.guarded = newTransport(g.dialing(dialer), s.Roots)
	t.Cleanup(func() { _ = c.transports.Destruct() })
	return c
}

// overBothVersions runs a test with a server for each version of HTTP.
func overBothVersions(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, server *providertest.TLSServer, c *Client)) {
	t.Helper()
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := providertest.NewTLSServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Proto != version && r.Proto != version+".0" {
					t.Errorf("it is %s", r.Proto)
				}
				handler(w, r)
			}), "*.evil.test")
			c := bounded(t, server)
			if version == "HTTP/1.1" {
				c.transports.guarded.ForceAttemptHTTP2 = false
				c.transports.guarded.TLSClientConfig.NextProtos = []string{"http/1.1"}
			}
			test(t, server, c)
		})
	}
}

func TestNamesThatAllLeadToASlowAddressGetBusyOutcomes(t *testing.T) {
	t.Parallel()
	const pushes = 200
	slow := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // otherwise nobody would notice that the client is gone
		<-r.Context().Done()
	}
	overBothVersions(t, slow, func(t *testing.T, server *providertest.TLSServer, c *Client) {
		ctx, cancel := context.WithCancel(t.Context())
		outcomes := make(chan providers.Outcome, pushes)
		for i := range pushes {
			go func() {
				outcomes <- post(ctx, t, c, at(t, server, fmt.Sprintf("https://n%d.evil.test:PORT/slow", i)), providers.Site{})
			}()
		}
		for range pushes - unprovenConnections {
			o := <-outcomes
			want(t, o, providers.KindRetry, "address_busy")
			if o.Cause != providers.CauseGateway {
				t.Errorf("the cause is %d: it is a bound of the gateway", o.Cause)
			}
			wantNoSecret(t, o)
		}
		if n := server.Connections(); n > unprovenConnections {
			t.Errorf("%d connections were made", n)
		}
		cancel()
		for range unprovenConnections {
			want(t, <-outcomes, providers.KindRetry, "timeout")
		}
	})
}

func TestHostsThatTakePushesAreNotBoundedTogether(t *testing.T) {
	t.Parallel()
	overBothVersions(t, created, func(t *testing.T, server *providertest.TLSServer, c *Client) {
		for i := range 3 * unprovenConnections {
			endpoint := at(t, server, fmt.Sprintf("https://n%d.evil.test:PORT/", i))
			want(t, post(t.Context(), t, c, endpoint, providers.Site{}), providers.KindDelivered, "delivered")
		}
		wantConnections(t, server, 3*unprovenConnections)
		if n := counted(c); n != 0 {
			t.Errorf("%d connections count", n)
		}
	})
}

func TestConnectionsThatStrangersLeaveOpenAreNoBound(t *testing.T) {
	t.Parallel()
	refuse := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }
	overBothVersions(t, refuse, func(t *testing.T, server *providertest.TLSServer, c *Client) {
		c.guard.addresses.now = hurried()
		for i := range 2 * unprovenConnections {
			endpoint := at(t, server, fmt.Sprintf("https://n%d.evil.test:PORT/", i))
			want(t, post(t.Context(), t, c, endpoint, providers.Site{}), providers.KindSuspected, "not_found")
		}
		if n := counted(c); n > unprovenConnections {
			t.Errorf("%d connections count", n)
		}
	})
}

func TestAnAddressThatCannotBeConnectedToIsNotCounted(t *testing.T) {
	t.Parallel()
	gone := providertest.NewTLSServer(t, created)
	gone.Close()
	c := bounded(t, gone)
	c.guard.addresses.now = hurried()
	for i := range 2 * unprovenConnections {
		want(t, post(t.Context(), t, c, at(t, gone, fmt.Sprintf("https://n%d.evil.test:PORT/", i)), providers.Site{}), providers.KindRetry, "network")
	}
	if n := counted(c); n != 0 {
		t.Errorf("%d connections count", n)
	}
}

// hurried returns a clock that advances by a second at each reading.
func hurried() func() time.Time {
	var looks atomic.Int64
	begin := time.Now()
	return func() time.Time { return begin.Add(time.Duration(looks.Add(1)) * time.Second) }
}

// counted returns how many of a client's connections count.
func counted(c *Client) (n int) {
	a := c.guard.addresses
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range a.busy {
		n += len(at.counting)
	}
	return n
}

// The operator chose these addresses.
func TestAllowedAddressesHaveNoBound(t *testing.T) {
	t.Parallel()
	a := newAddresses(time.Now)
	allow, _ := prefixes([]string{"9.9.9.0/24"})
	g := newGuard(allow, nil, a)
	for i := range 10 * unprovenConnections {
		try := &attempt{guard: g, host: fmt.Sprint(i)}
		if err := try.dial("9.9.9.9:443"); err != nil || len(try.dialed) != 0 {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	if len(a.busy) != 0 || a.quiet.Len() != 0 {
		t.Error("they are counted all the same")
	}
}

// As Happy Eyeballs does, RFC 8305.
func TestOfAddressesThatAreDialledAtTheSameTimeOneIsCounted(t *testing.T) {
	t.Parallel()
	a := newAddresses(time.Now)
	try := &attempt{guard: newGuard(nil, nil, a), host: "push.test:443"}
	for _, address := range []string{"[2620:fe::9]:443", "9.9.9.9:443", "9.9.9.9:443"} {
		if err := try.dial(address); err != nil {
			t.Fatal(err)
		}
	}
	conn := try.end(remote{new(closing), "9.9.9.9:443"})
	if err := try.dial("9.9.9.10:443"); !errors.Is(err, errEnded) {
		t.Errorf("an address that is dialled later: %v", err)
	}
	if err := try.explain(errUnreachable); !errors.Is(err, errUnreachable) {
		t.Errorf("none of them is busy: %v", err)
	}
	if len(a.busy) != 1 || len(a.busy[block(victim)].counting) != 1 {
		t.Errorf("counted are %v", a.busy)
	}
	if err := conn.Close(); err != nil || len(a.busy) != 0 {
		t.Errorf("counted are %v after the end: %v", a.busy, err)
	}
}

// remote is a connection to an address.
type remote struct {
	net.Conn
	address string
}

func (r remote) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(r.address))
}

func TestAHostIsBusyOnlyIfNoneOfItsAddressesCanBeConnectedTo(t *testing.T) {
	t.Parallel()
	a := newAddresses(time.Now)
	refused(a, victim, unprovenConnections)
	try := &attempt{guard: newGuard(nil, nil, a), host: "push.test:443"}
	if err := try.dial("9.9.9.9:443"); !errors.Is(err, errAddressBusy) {
		t.Errorf("got %v", err)
	}
	if err := try.dial("9.9.9.10:443"); err != nil {
		t.Errorf("the other address: %v", err)
	}
	if err := try.explain(errors.New("refused")); !errors.Is(err, errAddressBusy) {
		t.Errorf("the other address refuses, and the first one was not asked: %v", err)
	}
}
