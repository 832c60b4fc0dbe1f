package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// orders returns all orders of a list.
func orders(list []string) (all [][]string) {
	if len(list) < 2 {
		return [][]string{list}
	}
	for i, first := range list {
		rest := append(slices.Clone(list[:i]), list[i+1:]...)
		for _, order := range orders(rest) {
			all = append(all, append([]string{first}, order...))
		}
	}
	return all
}

func TestWhatANameBecomesIsNotConnectedTo(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	const abroad6 = "2620:fe::9"
	f := newFence(t, netip.MustParseAddr(abroad6))
	f.start("")
	here, here6 := netip.MustParseAddrPort(abroad+":443"), netip.MustParseAddrPort("["+abroad6+"]:443")

	// Somebody else's name.
	for name, r := range map[string]records{
		"cname.public.test":  {cname: "localhost.", addresses: []string{"127.0.0.1", "::1"}},
		"chain.public.test":  {cname: "inside.example.org.", addresses: []string{"10.0.0.1"}},
		"aaaa.public.test":   {addresses: []string{"fd00::1"}},
		"mapped.public.test": {addresses: []string{"::ffff:10.0.0.1"}},
		"both.public.test":   {addresses: []string{"10.0.0.1", "fd00::1"}},
	} {
		f.names.add(name, r)
		f.want(name, blocked)
	}

	// Several addresses, some of them private: only the public one is used, in whatever order they come.
	for i, list := range [][]string{
		{abroad, "10.0.0.1"},
		{abroad, "10.0.0.1", "127.0.0.1"},
		{abroad, "fd00::1", "::1"},
		{abroad, "169.254.169.254", "::ffff:10.0.0.1"},
	} {
		for j, order := range orders(list) {
			name := fmt.Sprintf("several-%d-%d.public.test", i, j)
			f.names.set(name, order)
			f.want(name, delivered, here)
		}
	}
	f.names.set("several6.public.test", []string{"10.0.0.1", abroad6, "fe80::1"})
	f.want("several6.public.test", delivered, here6)
	// Nothing listens at the public one. The private ones are not used instead.
	for j, order := range orders([]string{abroad, "10.0.0.1", "::1"}) {
		name := fmt.Sprintf("down-%d.public.test", j)
		f.names.set(name, order)
		f.want(name+":8443", unresolved, netip.MustParseAddrPort(abroad+":8443"))
	}

	// A name that changes its address between two lookups. The connection uses the only lookup there is.
	for i, form := range endpointForms {
		for j, tt := range []struct {
			answers [][]string
			want    []verdict
		}{
			{[][]string{{abroad}, {"10.0.0.1"}, {"127.0.0.1"}}, []verdict{delivered, blocked, blocked}},
			{[][]string{{"10.0.0.1"}, {abroad}, {"127.0.0.1"}}, []verdict{blocked, delivered, blocked}},
			{[][]string{{abroad, "10.0.0.1"}, {"10.0.0.1"}, {abroad}}, []verdict{delivered, blocked, delivered}},
		} {
			name := fmt.Sprintf("changing-%d-%d.public.test", i, j)
			f.names.set(name, tt.answers...)
			for n, want := range tt.want {
				got, to := f.push(form.device(f, name))
				if got != want || len(to) > 0 && (want == blocked || to[0] != here) {
					t.Errorf("%s, push %d to %v: the result is %s, with connections to %v", form.name, n, tt.answers[n], got, to)
				}
			}
		}
	}
}

func TestNoRedirectIsConnectedTo(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	f := newFence(t)
	f.start("")
	port := strconv.Itoa(f.gateway.port)
	n := 0
	for _, to := range []string{
		"https://127.0.0.1/", "https://[::1]/", "https://10.0.0.1/up/phone", "https://[::ffff:10.0.0.1]/", "http://169.254.169.254/latest/meta-data",
		"http://127.0.0.1:2019/config/", "https://localhost/", "//10.0.0.1/", "https://gateway.test:" + port + "/", "https://public.test/up/other",
		"https://8.8.8.8/",
	} {
		for status := 300; status <= 308; status++ {
			n++
			// Another server, so no breaker opens, and another address, so none gets too many connections.
			name, address := fmt.Sprintf("n%d.public.test", n), fmt.Sprintf("9.9.9.%d", n)
			f.names.set(name, []string{address})
			form := endpointForms[n%len(endpointForms)]
			d := form.device(f, name)
			f.service.Answer(path(d), providertest.Answer{Status: status, Header: http.Header{"Location": {to}, "Refresh": {"0; url=" + to}}})
			if got, connected := f.push(d); got != unresolved || !slices.Equal(connected, []netip.AddrPort{netip.MustParseAddrPort(address + ":443")}) {
				t.Errorf("%s, %d to %s: the result is %s, with connections to %v", form.name, status, to, got, connected)
			}
		}
	}
	// Neither the URL that a success points to (RFC 8030 section 5) nor another way to the same server (RFC 7838) is used.
	d := endpointForms[0].device(f, "public.test")
	f.service.Answer(path(d), providertest.Answer{Status: http.StatusCreated, Header: http.Header{
		"Location": {"https://10.0.0.1/message/1"}, "Link": {`<https://10.0.0.1/>; rel="urn:ietf:params:push"`}, "Alt-Svc": {`h2="10.0.0.1:443"; ma=3600`},
	}})
	for range 2 {
		if got, connected := f.push(d); got != delivered || !slices.Equal(connected, []netip.AddrPort{netip.MustParseAddrPort(abroad + ":443")}) {
			t.Errorf("the result is %s, with connections to %v", got, connected)
		}
	}
}

// A pending push is sent later, to the address that the name has by then. The operator's test notification is guarded as well.
func TestNoLaterAttemptConnectsToWhatTheNameBecame(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	f := newFence(t)
	f.gateway.start(gatewayConfig("rejected memory\noutbox file\n"+strings.ReplaceAll(f.service.global(""), "allow_private 127.0.0.0/8", ""), "matrix_push"))
	f.hs = f.gateway.homeserver()
	f.connected()
	here := []netip.AddrPort{netip.MustParseAddrPort(abroad + ":443")}
	for i, form := range endpointForms {
		name := fmt.Sprintf("later-%d.public.test", i)
		f.names.set(name, []string{abroad}, []string{"10.0.0.1"})
		d := form.device(f, name)
		f.service.Answer(path(d), providertest.Answer{Status: http.StatusServiceUnavailable, Times: 1})
		if got, to := f.push(d); got != delivered || !slices.Equal(to, here) {
			t.Errorf("%s: the result is %s, with connections to %v", form.name, got, to)
		}
	}
	for _, app := range []string{"org.example.up", "org.example.web"} {
		if status, answer := f.gateway.adminDo(http.MethodPost, "/matrix_push/outbox/retry", `{"app":"`+app+`"}`); status != http.StatusOK {
			t.Errorf("%d %s", status, answer)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for count := 0; count < len(endpointForms); {
		all, _ := f.gateway.scrape()
		count = int(all.total("pushes_total", `outcome="dropped"`, `reason="blocked"`))
		if ctx.Err() != nil {
			t.Fatalf("%d of the pending pushes were blocked", count)
		}
	}
	for _, d := range []device{endpointForms[0].device(f, "later-0.public.test"), endpointForms[1].device(f, "127.0.0.1")} {
		body := compose(map[string]any{"event_id": "$test"}, []device{d})
		status, answer := f.gateway.adminDo(http.MethodPost, "/matrix_push/send", body)
		if status != http.StatusOK || !strings.Contains(answer, `"blocked"`) {
			t.Errorf("%d %s", status, answer)
		}
	}
	if to := f.connected(); len(to) > 0 {
		t.Errorf("there were connections to %v", to)
	}
}

// The C library's resolver reads numbers as inet_aton does, so the guard must look at its result.
func TestNoNotationThatTheCLibraryReadsIsConnectedTo(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	f := newFence(t)
	f.gateway.env = append(f.gateway.env, resolver+"=", "GODEBUG=netdns=cgo")
	f.start("")
	f.want(abroad, delivered, netip.MustParseAddrPort(abroad+":443"))
	for _, host := range []string{
		"2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "0x7f.0.0.1", "0x7f.1", "127.1", "127.0.0.01", "127.0.0.1.", "0", "0x0", "3232235777",
		"0xa9fea9fe", "169.254.43518", "localhost", "LOCALHOST.", "１２７.１", "2130706433.",
	} {
		for _, form := range endpointForms[:2] {
			if got, to := f.push(form.device(f, host)); got == unusable || len(to) > 0 {
				t.Errorf("%s: https://%s/ is %s, with connections to %v", form.name, host, got, to)
			}
		}
	}
	all, _ := f.gateway.scrape()
	t.Logf("it read %v as addresses, and %v as unknown names", all.total("pushes_total", `"blocked"`), all.total("pushes_total", `"dns"`))
}
