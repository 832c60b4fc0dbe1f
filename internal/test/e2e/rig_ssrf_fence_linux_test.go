package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers/providertest"
)

// verdict is the result of a push to a hostile endpoint.
type verdict string

const (
	// blocked: the homeserver is answered 200, and there is no connection. The pushkey is not rejected, because the operator may allow the
	// address later. A name that does not exist gets the same answer.
	blocked verdict = "blocked"
	// unusable: the pushkey is rejected. There is no connection and no DNS query.
	unusable verdict = "unusable"
	// unresolved: nobody answers there, or the resolver fails. The homeserver is asked to repeat the request.
	unresolved verdict = "unresolved"
	// delivered: there was a connection to the address, and the push was taken.
	delivered verdict = "delivered"
)

// abroad is an address of this namespace's push server that is public for the gateway. All names below public.test have it.
const abroad = "9.9.9.9"

// fence is a gateway in a namespace where every address is this machine's, with a push server on port 443 of all addresses, and with
// witnesses of connections.
type fence struct {
	t       *testing.T
	names   *nameserver
	tap     *tap
	service *pushServer
	gateway *process
	hs      *homeserver
	events  int
}

// newFence prepares a gateway. The push server's certificate is also for these addresses.
func newFence(t *testing.T, addresses ...netip.Addr) *fence {
	t.Helper()
	hosts := []string{abroad, "public.test", "*.public.test"}
	for _, address := range addresses {
		hosts = append(hosts, address.String())
	}
	service := providertest.NewPushService(providertest.PushServiceOptions{RequireVAPID: true})
	t.Cleanup(service.Close)
	f := &fence{t: t, names: newNameserver(t), tap: newTap(t), gateway: newProcess(t), service: &pushServer{service, everywhere(t, service, hosts)}}
	f.gateway.env = append(f.gateway.env, resolver+"="+f.names.conn.LocalAddr().String())
	f.names.set("public.test", []string{abroad})
	return f
}

// everywhere serves on port 443 of every address. Each push needs a new connection.
func everywhere(t *testing.T, handler http.Handler, hosts []string) *providertest.TLSServer {
	t.Helper()
	l, err := net.Listen("tcp", ":443")
	if err != nil {
		t.Fatal(err)
	}
	ca := providertest.NewCA(t)
	server := httptest.NewUnstartedServer(received(handler))
	_ = server.Listener.Close()
	server.Listener = l
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Certificate(t, hosts...)}, MinVersion: tls.VersionTLS12}
	server.Config.SetKeepAlivesEnabled(false)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the witness connects and sends nothing
	server.StartTLS()
	t.Cleanup(server.Close)
	return &providertest.TLSServer{Server: server, CA: ca, CAFile: ca.File}
}

// start runs the gateway: its site is gateway.test at {port}, and any name at {port2}.
func (f *fence) start(more string) {
	f.t.Helper()
	global := strings.ReplaceAll(f.service.global("rejected memory"), "allow_private 127.0.0.0/8", more)
	f.gateway.start(gatewayConfig(global, "matrix_push") + "https://:{port2} {\n" + certificate + "\nmatrix_push\n}\n")
	f.hs = f.gateway.homeserver()
	f.tap.connected()
}

// endpointForm is a form in which a device names its endpoint. Its argument is the part between https:// and the path.
type endpointForm struct {
	name   string
	device func(f *fence, authority string) device
}

// endpointForms has all forms that the two providers know.
var endpointForms = []endpointForm{
	{"unifiedpush", func(f *fence, authority string) device {
		f.service.Endpoint("phone")
		return upDevice("https://" + authority + "/up/phone")
	}},
	{"webpush", func(f *fence, authority string) device {
		sub := f.service.Subscribe()
		sub.Endpoint = "https://" + authority + sub.Path
		return webPushDevice(sub)
	}},
	{"unifiedpush, encrypted", func(f *fence, authority string) device {
		sub := f.service.Subscribe()
		d := upDevice("https://" + authority + sub.Path)
		d.Data = map[string]any{"keys": map[string]any{"p256dh": sub.P256dh, "auth": sub.Auth}}
		return d
	}},
	{"webpush, as a whole subscription", func(f *fence, authority string) device {
		sub := f.service.Subscribe()
		return device{AppID: "org.example.web", Pushkey: fmt.Sprintf(`{"endpoint":%q,"keys":{"p256dh":%q,"auth":%q}}`,
			"https://"+authority+sub.Path, sub.P256dh, sub.Auth)}
	}},
}

// push sends one event to a device. It returns the verdict, and the addresses that were connected to meanwhile.
func (f *fence) push(d device) (verdict, []netip.AddrPort) {
	f.t.Helper()
	f.events++
	r := f.hs.notify(alert(fmt.Sprint("$", f.events), d))
	connected := f.connected()
	switch {
	case r.Status == http.StatusServiceUnavailable:
		return unresolved, connected
	case r.Status == http.StatusOK && slices.Equal(r.Rejected, []string{d.Pushkey}):
		return unusable, connected
	case r.Status != http.StatusOK || len(r.Rejected) > 0:
		f.t.Fatalf("answered %d %s", r.Status, r.Body)
	case len(connected) == 0:
		return blocked, nil
	}
	return delivered, connected
}

// connected returns the addresses that were connected to, except by the homeserver.
func (f *fence) connected() []netip.AddrPort {
	f.t.Helper()
	loopback := netip.MustParseAddr("127.0.0.1")
	return slices.DeleteFunc(f.tap.connected(), func(to netip.AddrPort) bool {
		return to.Addr() == loopback && (int(to.Port()) == f.gateway.port || int(to.Port()) == f.gateway.port2)
	})
}

// want pushes to an authority in each form, and wants the same result for all.
func (f *fence) want(authority string, want verdict, connected ...netip.AddrPort) {
	f.t.Helper()
	for _, form := range endpointForms {
		got, to := f.push(form.device(f, authority))
		if got != want || !slices.Equal(to, connected) {
			f.t.Errorf("%s: https://%s/ is %s, with connections to %v; want %s and %v", form.name, authority, got, to, want, connected)
		}
	}
}

// port443 returns port 443 of an address.
func port443(address netip.Addr) netip.AddrPort { return netip.AddrPortFrom(address, 443) }

func contains(list []netip.Prefix, address netip.Addr) bool {
	for _, p := range list {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// last returns the last address of a range.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	address, _ := netip.AddrFromSlice(b)
	return address
}

// bracketed returns an address in the form for a URL.
func bracketed(address netip.Addr) string {
	if address.Is4() {
		return address.String()
	}
	return "[" + address.String() + "]"
}

// path returns the path of a device's endpoint.
func path(d device) string {
	endpoint, _ := d.Data["endpoint"].(string)
	if endpoint == "" {
		endpoint = d.Pushkey
	}
	if _, after, ok := strings.Cut(endpoint, `"endpoint":"`); ok {
		endpoint, _, _ = strings.Cut(after, `"`)
	}
	return pathOf(endpoint)
}
