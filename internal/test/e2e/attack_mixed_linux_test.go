package e2e

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// TestAllAttacksAtOnceCostNobodyElseAnything runs all attacks at the same time, for a while. Meanwhile, 200 devices of two apps on ten
// hosts get a push every two seconds each.
func TestAllAttacksAtOnceCostNobodyElseAnything(t *testing.T) {
	if !insideNamespaceUnraced(t) {
		return
	}
	const devices, hosts, mebibyte = 200, 10, 1 << 20
	howLong := attackTime(10 * time.Second)
	l := newAttackLab(t)
	l.certified("*.wild.example")
	l.gateway.env = append(l.gateway.env, "GOMEMLIMIT=179MiB") // the value in docs/deployment.md for 256 MiB
	l.start("", "https://*.wild.example:{port2} {\ntls {dir}/own.pem {dir}/own.key\nmatrix_push\n}\n")
	l.names.set("priv-10-0-0-5.wild.example", []string{"10.0.0.5"})
	for n := range hosts {
		l.names.set(fmt.Sprintf("push.honest%d.example", n), []string{fmt.Sprintf("20.0.0.%d", n+1)})
	}
	for n := range 1000 {
		l.names.set(fmt.Sprintf("n%d.evil.example", n), []string{"9.9.9.9"})
	}
	var honest []*client
	for n := range devices {
		endpoint := fmt.Sprintf("https://push.honest%d.example/201/honest-%d", n%hosts, n)
		if n%4 == 3 {
			honest = append(honest, l.provenWeb(endpoint))
		} else {
			honest = append(honest, l.proven(endpoint))
		}
	}

	// What the honest pushes take without an attack. A machine that is busy with other things delays them, too.
	alone := l.pushAll(honest, 2*time.Second, 2*time.Second)

	until := time.Now().Add(howLong)
	var answers []func()
	stormAt := func(hs *homeserver, name string, pace time.Duration, body func(n int) string) {
		wait := l.storm(pace, until, hs, body)
		answers = append(answers, func() { t.Logf("%s: answered %v", name, wait()) })
	}
	storm := func(name string, pace time.Duration, body func(n int) string) {
		stormAt(l.gateway.homeserver(), name, pace, body)
	}
	// endpoints returns a request for a hundred of a stranger's endpoints. Host and path may depend on their number.
	endpoints := func(event string, n int, endpoint func(n int) string) string {
		return alert(fmt.Sprint(event, n), madeUp(100, func(d int) string { return endpoint(n*100 + d) })...)
	}
	shared := func(n int) string { return fmt.Sprintf("push.honest%d.example", n%hosts) }

	storm("1, paths that fail on hosts that others use", 250*time.Millisecond, func(n int) string {
		return endpoints("$failing", n, func(i int) string {
			return fmt.Sprintf("https://%s/%d/stranger-%d", shared(n), failures[n/hosts%len(failures)], i)
		})
	})
	storm("2, valid pushes to hosts that others use", 500*time.Millisecond, func(n int) string {
		return endpoints("$valid", n, func(i int) string { return fmt.Sprintf("https://%s/after/50/stranger-%d", shared(n), i) })
	})
	storm("3, large content", 2*time.Second, func(n int) string {
		return large(fmt.Sprint("$large", n), 200_000, keyed(madeUp(99, func(d int) string {
			return fmt.Sprintf("https://9.9.8.%d/503/stranger-%d-%d", n%100, n, d)
		})))
	})
	storm("4, many members", 2*time.Second, func(n int) string {
		return manifold(fmt.Sprint("$members", n), 12_000, keyed(madeUp(99, func(d int) string {
			return fmt.Sprintf("https://9.9.7.%d/429/stranger-%d-%d", n%100, n, d)
		})))
	})
	storm("5 and 9, what fills the outbox", 250*time.Millisecond, func(n int) string {
		return endpoints("$filling", n, func(i int) string { return fmt.Sprintf("https://9.9.6.%d/429/stranger-%d", n%3, i) })
	})
	storm("6, slow hosts", 500*time.Millisecond, func(n int) string {
		return endpoints("$slow", n, func(i int) string { return fmt.Sprintf("https://11.%d.%d.7/slow/stranger-%d", i>>8, i&0xff, i) })
	})
	storm("7, what is said of others' keys", 500*time.Millisecond, func(n int) string {
		stranger := honest[(4*n+3)%devices].device
		stranger.PushkeyTS = at(math.MaxInt64)
		endpoint := fmt.Sprintf("https://66.6.6.6/%d/stranger-%d", []int{410, 418, 404}[n%3], n)
		stranger.Data = map[string]any{"endpoint": endpoint, "auth": "AAAAAAAAAAAAAAAAAAAAAA"}
		return alert(fmt.Sprint("$foreign", n), stranger)
	})
	storm("10 and 12, the dead and the living by turns", 500*time.Millisecond, func(n int) string {
		return endpoints("$dead", n, func(i int) string {
			return fmt.Sprintf("https://9.9.5.%d/%d/stranger-%d", n%20, []int{201, 410}[i%2], i)
		})
	})
	storm("11, many names of one address", time.Second, func(n int) string {
		return endpoints("$names", n, func(i int) string { return fmt.Sprintf("https://n%d.evil.example/slow/stranger-%d", i%1000, i) })
	})
	storm("13, private names, and such as are not there", time.Second, func(n int) string {
		hosts := []string{"priv-10-0-0-5.wild.example", fmt.Sprintf("nx%d.example", n), "10.0.0.7"}
		return alert(fmt.Sprint("$private", n), madeUp(20, func(d int) string {
			return fmt.Sprintf("https://%s/201/stranger-%d-%d", hosts[d%len(hosts)], n, d)
		})...)
	})
	site := fmt.Sprintf("https://priv-10-0-0-5.wild.example:%d", l.gateway.port2)
	own := &homeserver{t: t, client: l.gateway.client(false), url: site + "/_matrix/push/v1/notify"}
	stormAt(own, "8, a name below the wildcard site", time.Second, func(n int) string {
		return alert(fmt.Sprint("$wild", n), madeUp(1, func(int) string { return fmt.Sprintf("%s/up/stranger-%d", site, n) })...)
	})

	arrived := l.pushAll(honest, 2*time.Second, howLong)
	for _, wait := range answers {
		wait()
	}
	wantBelow(t, "99% of the honest pushes", arrived.within(990), 2*time.Second+4*alone.within(990))
	// Memory grew all the time. The kernel can drop mapped pages of outbox.db and of the program, so they don't get a process killed.
	wantBelow(t, "memory in MiB", l.gateway.ownMemory()/mebibyte, 256)
	t.Logf("CPU time: %v", l.gateway.cpu())
	for _, c := range honest {
		if got := l.taken(c.endpoint()); got != c.sent && !t.Failed() {
			t.Errorf("%s took %d pushes, want %d", c.endpoint(), got, c.sent)
		}
	}
	if _, most := l.open("9.9.9.9"); most > 64+4 { // the server may not know yet that some were closed
		t.Errorf("%d connections at a time to one address", most)
	}
	l.wantNoPrivateConnection()
	l.wantFewLines(1 + int(howLong/time.Minute))
	l.gateway.wantNobodyCalled()
}
