package e2e

import (
	"fmt"
	"net/http"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// What a stranger can do through the gateway to the operator's network, and to others'. The inputs are those of the security review.

// posting returns a homeserver that knows the gateway by another name and the second port.
func (f *fence) posting(name string) *homeserver {
	f.t.Helper()
	hs := &homeserver{t: f.t, client: f.gateway.client(false), url: fmt.Sprintf("https://%s:%d/_matrix/push/v1/notify", name, f.gateway.port2)}
	if r, err := hs.do(http.MethodGet, hs.url, ""); err != nil || r.Status != http.StatusOK {
		f.t.Fatalf("%s answers %d %s: %v", name, r.Status, r.Body, err)
	}
	return hs
}

// global returns the gateway's global options, with more options of the providers instead of allow_private.
func (f *fence) global(more string) string {
	return strings.ReplaceAll(f.service.global("rejected memory"), "allow_private 127.0.0.0/8", more)
}

// Finding 7: a POST to 10.0.0.5.
func TestAWildcardIsNobodysOwnSite(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	f := newFence(t)
	f.gateway.start(gatewayConfig(f.global(""), "matrix_push") +
		"https://*.wild.example.org:{port2}, https://gw.wild.example.org:{port2} {\n" + certificate + "\nmatrix_push\n}\n")
	f.connected()
	port := strconv.Itoa(f.gateway.port2)
	const private = "priv-10-0-0-5.wild.example.org"
	f.names.set(private, []string{"10.0.0.5"})
	f.names.set("gw.wild.example.org", []string{"10.0.0.6"})
	for _, by := range []string{private, "gw.wild.example.org"} {
		f.hs = f.posting(by)
		f.want(private+":"+port, blocked)
	}
	// The name that the operator wrote belongs to the site, which shows that the test works.
	if _, to := f.push(upDevice("https://gw.wild.example.org:" + port + "/up")); !slices.Contains(to, netip.MustParseAddrPort("10.0.0.6:"+port)) {
		t.Errorf("there were connections to %v", to)
	}
}

// Finding 7: a path that an address filter reserves for the operator's network.
func TestAnAddressFilterOfTheOwnSiteCanTellPushesApart(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	f := newFence(t)
	const answers = `
		@naive remote_ip private_ranges
		@lan {
			remote_ip private_ranges
			not header Caddy-Matrix-Push *
		}
		@forwarded header X-Forwarded-For 127.0.0.1
		handle /naive/* {
			respond @naive "lan only" 200
			respond 503
		}
		handle /admin/* {
			respond @lan "lan only" 200
			respond 503
		}
		handle /forwarded/* {
			respond @forwarded 200
			respond 503
		}`
	f.names.set("gateway.test", []string{"10.0.0.1"})
	for _, test := range []struct {
		options string
		want    map[string]int
	}{
		{"", map[string]int{"/naive/a": 200, "/admin/delete-everything": 503, "/forwarded/a": 200}},
		{"own_paths /up* /forwarded/*", map[string]int{"/naive/a": 0, "/admin/delete-everything": 0, "/forwarded/../naive/a": 0, "/forwarded/a": 200}},
	} {
		f.gateway.start(gatewayConfig(f.global(test.options), "matrix_push"+answers))
		f.hs = f.gateway.homeserver()
		f.connected()
		own := netip.MustParseAddrPort("10.0.0.1:" + strconv.Itoa(f.gateway.port))
		for path, status := range test.want {
			got, to := f.push(upDevice("https://gateway.test:" + strconv.Itoa(f.gateway.port) + path))
			want := map[int]verdict{200: delivered, 503: unresolved, 0: blocked}[status]
			// One connection serves several pushes.
			if got == blocked && status == 200 {
				got = delivered
			}
			if got != want || slices.ContainsFunc(to, func(a netip.AddrPort) bool { return a != own }) {
				t.Errorf("with %q, %s is %s, with connections to %v; want %s", test.options, path, got, to, want)
			}
		}
		all, _ := f.gateway.scrape()
		for reason, status := range map[string]int{"delivered": 200, "server_error": 503, "own_path": 0} {
			want := 0
			for _, s := range test.want {
				if s == status {
					want++
				}
			}
			if got := int(all.total("pushes_total", `reason="`+reason+`"`)); got != want {
				t.Errorf("with %q, %d pushes are %s, want %d", test.options, got, reason, want)
			}
		}
		f.gateway.kill()
	}
}

// Finding 13: 503 for a name that does not exist, 200 for one that leads to 10.0.0.7.
func TestInternalNamesCannotBeListed(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	f := newFence(t)
	f.names.set("priv-10-0-0-7.corp.example.org", []string{"10.0.0.7"})
	f.names.add("empty.corp.example.org", records{})
	for _, outbox := range []string{"off", "file"} {
		f.gateway.start(gatewayConfig("outbox "+outbox+"\n"+f.global(""), "matrix_push"))
		f.hs = f.gateway.homeserver()
		f.connected()
		for range 5 { // in four forms: more than it takes to open a breaker
			f.want("nxname.corp.example.org", blocked)
			f.want("empty.corp.example.org", blocked)
			f.want("priv-10-0-0-7.corp.example.org", blocked)
		}
		if status, answer := f.gateway.adminDo(http.MethodGet, "/matrix_push/apps", ""); status != http.StatusOK || strings.Contains(answer, `"oldest"`) {
			t.Errorf("outbox %s: something is pending: %d %s", outbox, status, answer)
		}
		f.gateway.kill()
	}
}

// Finding 14.
func TestThisMachinesPublicAddressIsNotConnectedTo(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	if out, err := exec.Command("ip", "addr", "add", "8.8.4.4/32", "dev", "lo").CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	own := netip.MustParseAddr("8.8.4.4")
	f := newFence(t, own)
	f.names.set("machine.public.test", []string{"8.8.4.4"})
	f.names.set("azure.public.test", []string{"168.63.129.16"})
	f.start("")
	f.want("8.8.4.4", blocked)
	f.want("machine.public.test", blocked)
	f.want("azure.public.test", blocked)
	f.want("public.test", delivered, port443(netip.MustParseAddr(abroad)))
	f.gateway.kill()
	f.start("allow_private 8.8.4.4")
	f.want("8.8.4.4", delivered, port443(own))
	f.want("machine.public.test", delivered, port443(own))
}

// Finding 8: 384 connections at a time.
func TestNamesThatAllLeadToOneAddressShareItsConnections(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	f := newFence(t)
	v := newDeafServer(t, ":8443")
	f.names.setOthers(abroad)
	f.start("")
	f.names.set("honest.public.test", []string{abroad})
	f.want("honest.public.test", delivered, port443(netip.MustParseAddr(abroad)))

	const requests, devices = 4, 96
	var group sync.WaitGroup
	for i := range requests {
		var list []device
		for j := range devices {
			list = append(list, upDevice(fmt.Sprintf("https://n%d.evil.example.org:8443/slow", i*devices+j)))
		}
		group.Go(func() { f.hs.notify(alert(fmt.Sprint("$flood", i), list...)) })
	}
	v.until(t, 64)
	// A host at the same address that took a push before is still served.
	r := f.hs.notify(alert("$honest", endpointForms[0].device(f, "honest.public.test")))
	if r.Status != http.StatusOK {
		t.Errorf("an honest host at the address: %d %s", r.Status, r.Body)
	}
	group.Wait()
	if most := v.until(t, 64); most != 64 {
		t.Errorf("%d connections at a time, want 64", most)
	}
}
