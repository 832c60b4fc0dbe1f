package e2e

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// Pushes that one sender causes cost nothing to others, on the same host or elsewhere, whose devices were delivered to before.

// failures are statuses that a stranger's endpoints may answer and that are not verdicts.
var failures = []int{http.StatusFound, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable}

// A stranger's endpoints fail in every way, on a host that many use. The host serves all others, so its breaker stays closed.
func TestEndpointsThatFailCloseNoHostThatOthersUse(t *testing.T) {
	if !insideNamespaceUnraced(t) {
		return
	}
	l := newAttackLab(t)
	shared := func(status int) string { return fmt.Sprintf("shared%d.example", status) }
	for i, status := range failures {
		l.names.set(shared(status), []string{fmt.Sprintf("20.0.0.%d", i+1)})
	}
	l.start("", "")
	var victims []*client
	for n := range 15 {
		for _, status := range failures {
			victims = append(victims, l.proven(fmt.Sprintf("https://%s/201/victim-%d", shared(status), n)))
		}
	}
	wait := l.attackAt(20*time.Millisecond, 25*len(failures), 1, func(n int) string {
		status := failures[n%len(failures)]
		return alert(fmt.Sprint("$attack", n), madeUp(12, func(d int) string {
			return fmt.Sprintf("https://%s/%d/stranger-%d-%d", shared(status), status, n, d)
		})...)
	})
	wantBelow(t, "the last victim's", l.pushAll(victims, time.Second, 3*time.Second).within(1000), 2*time.Second)
	t.Logf("the attack is answered: %v", wait())
}

// Nothing was delivered since the gateway started, so the host's breaker opens. Its trials are pushes for devices that it took pushes for
// before, not for a stranger's many devices.
func TestAHostIsTriedAgainWithADeviceThatItKnows(t *testing.T) {
	t.Parallel()
	if !insideNamespaceUnraced(t) {
		return
	}
	l := newAttackLab(t)
	l.names.set("shared.example", []string{"20.0.0.1"})
	l.start("", "")
	var victims []*client
	for n := range 15 {
		victims = append(victims, l.proven(fmt.Sprintf("https://shared.example/201/victim-%d", n)))
	}
	l.gateway.terminate()
	l.start("", "")
	for _, c := range victims {
		c.hs = l.gateway.homeserver()
	}
	wait := l.attackAt(50*time.Millisecond, 25, 1, func(n int) string {
		return alert(fmt.Sprint("$attack", n), madeUp(12, func(d int) string {
			return fmt.Sprintf("https://shared.example/503/stranger-%d-%d", n, d)
		})...)
	})
	if !l.await(patience, l.moreTried("https://shared.example/503/stranger-0-9", 0)) {
		t.Fatal("the attack does not begin")
	}
	wantBelow(t, "the last victim's", l.pushAll(victims, time.Second, time.Second).within(1000), 15*time.Second)
	t.Logf("the attack is answered: %v", wait())
}

// Valid pushes to a host that works: they wait for their turn, and do not open the host's breaker.
func TestAFloodOfValidPushesDoesNotCloseTheirHost(t *testing.T) {
	if !insideNamespaceUnraced(t) {
		return
	}
	l := newAttackLab(t)
	l.names.set("healthy.example", []string{"20.0.0.1"})
	l.start("", "")
	victim := l.proven("https://healthy.example/after/50/victim")
	const requests, devices = 40, 100
	wait := l.attack(requests, requests, func(n int) string {
		return alert(fmt.Sprint("$attack", n), madeUp(devices, func(d int) string {
			return fmt.Sprintf("https://healthy.example/after/50/stranger-%d-%d", n, d)
		})...)
	})
	began := func() bool { // anybody's push may be the first, and some are pending
		for n := range requests {
			if l.moreTried(fmt.Sprintf("https://healthy.example/after/50/stranger-%d-0", n), 0)() {
				return true
			}
		}
		return false
	}
	if !l.await(patience, began) {
		t.Fatal("the attack does not begin")
	}
	wantBelow(t, "the victim's last", l.pushAll([]*client{victim}, 500*time.Millisecond, 3*time.Second).within(1000), 5*time.Second)
	t.Logf("the attack is answered: %v", wait())
}

// Endpoints that never answer, each on a separate host. Anybody can have any number of hosts.
func TestFourThousandSlowHostsDelayNobodyElse(t *testing.T) {
	if !insideNamespaceUnraced(t) {
		return
	}
	l := newAttackLab(t)
	l.start("", "")
	var victims []*client
	for n := range 20 {
		victims = append(victims, l.proven(fmt.Sprintf("https://21.0.0.%d/201/victim-%d", n%10, n)))
	}
	wait := l.attack(40, 40, func(n int) string {
		return alert(fmt.Sprint("$attack", n), madeUp(100, func(d int) string {
			host := n*100 + d
			return fmt.Sprintf("https://11.%d.%d.%d/slow/stranger-%d", host>>8, host&0xff, n+1, host)
		})...)
	})
	wantBelow(t, "99% of the victims'", l.pushAll(victims, time.Second, 6*time.Second).within(990), 2*time.Second)
	t.Logf("the attack is answered: %v", wait())
}

// Names cost nothing, either, so connections are limited for each address. A stranger cannot flood a third party through many names for it,
// whether they are new or took a push each while they led elsewhere.
func TestManyNamesOfOneAddressGetAsManyConnectionsAsOne(t *testing.T) {
	t.Parallel()
	if !insideNamespaceUnraced(t) {
		return
	}
	const names, most = 400, 64
	l := newAttackLab(t)
	for n := range names {
		l.names.set(fmt.Sprintf("n%d.evil.example", n), []string{"9.9.9.9"})
		l.names.set(fmt.Sprintf("www.evil%d.example", n), []string{"9.9.9.10"})
	}
	l.start("", "")
	push := func(event string, endpoint func(n int) string) {
		t.Helper()
		wait := l.attack(names/100, names/100, func(n int) string {
			return alert(fmt.Sprint(event, n), madeUp(100, func(d int) string { return endpoint(n*100 + d) })...)
		})
		t.Logf("%s is answered: %v", event, wait())
	}
	wantFew := func(address string) {
		t.Helper()
		// As many as are allowed, and then some time for more.
		l.await(patience, func() bool { return l.connections[netip.MustParseAddr(address)] != nil })
		l.await(2*time.Second, func() bool { return l.connections[netip.MustParseAddr(address)].most > most })
		if _, got := l.open(address); got > most {
			t.Errorf("%d connections at a time to %s, want at most %d", got, address, most)
		} else {
			t.Logf("%d connections at a time to %s", got, address)
		}
	}

	late := func(n int) string { return fmt.Sprintf("https://www.evil%d.example/late/%d-stranger", n, n) }
	push("$first", late)
	if !l.await(patience, func() bool {
		for n := range names {
			if !l.moreTaken(late(n), 0)() {
				return false
			}
		}
		return true
	}) {
		t.Fatal("not every name's first push arrives")
	}
	for n := range names {
		name := fmt.Sprintf("www.evil%d.example", n)
		l.delay(name)
		l.takeDown(name)
		l.bringUp(name)
		l.names.set(name, []string{"9.9.9.11"})
	}
	push("$second", late)
	wantFew("9.9.9.11")

	push("$new", func(n int) string { return fmt.Sprintf("https://n%d.evil.example/slow/%d-stranger", n, n) })
	wantFew("9.9.9.9")
}
