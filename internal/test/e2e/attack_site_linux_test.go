package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A site for many names belongs to the operator, but a name below it may be anybody's, and may resolve to a private address.
func TestANameBelowAWildcardIsNotTheSitesOwn(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	const tls = "tls {dir}/own.pem {dir}/own.key\n"
	private := netip.MustParseAddr("10.0.0.5")
	for _, tt := range []struct{ name, site string }{
		{"the site's address", "https://*.wild.example:{port2} {\n" + tls + "matrix_push\n}\n"},
		{"a matcher", "https://:{port2} {\n" + tls + "@wild host *.wild.example\nhandle @wild {\nmatrix_push\n}\n}\n"},
		{"an address beside an exact one", "https://gw.wild.example:{port2}, https://*.wild.example:{port2} {\n" + tls + "matrix_push\n}\n"},
		{"a placeholder", "https://:{port2} {\n" + tls + "@wild host {http.request.host}\nhandle @wild {\nmatrix_push\n}\n}\n"},
		{"a placeholder in a name", "https://:{port2} {\n" + tls +
			"@wild host {http.request.host.labels.2}.wild.example\nhandle @wild {\nmatrix_push\n}\n}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newAttackLab(t)
			seen := newTap(t)
			l.certified("*.wild.example")
			l.start("", tt.site)
			const host = "priv-10-0-0-5.wild.example"
			l.names.set(host, []string{private.String()})
			port := strconv.Itoa(l.gateway.port2)
			hs := &homeserver{t: t, client: l.gateway.client(false), url: "https://" + host + ":" + port + "/_matrix/push/v1/notify"}
			p256dh, auth := newKeys()
			for n, authority := range []string{host + ":" + port, host} {
				endpoint := "https://" + authority + "/internal/api-endpoint"
				r := hs.notify(alert(fmt.Sprint("$attack", n), device{AppID: "org.example.phone", Pushkey: endpoint}, device{
					AppID: "web.example", Pushkey: p256dh, Data: map[string]any{"endpoint": endpoint, "auth": auth},
				}))
				if r.Status != http.StatusOK && r.Status != http.StatusServiceUnavailable || len(r.Rejected) > 0 {
					t.Errorf("answered %d %s", r.Status, r.Body)
				}
			}
			for _, to := range seen.connected() {
				if to.Addr() == private {
					t.Errorf("there were connections to %v", to)
				}
			}
		})
	}
}

// Pushes to the gateway's own site name the sender, so rules about client addresses apply to the sender's address.
func TestPushesToTheOwnSiteCarryTheSendersAddress(t *testing.T) {
	t.Parallel()
	if !insideNamespace(t) {
		return
	}
	const sender = "8.8.4.4"
	var mu sync.Mutex
	came := make(map[string][]http.Header)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		came[r.URL.Path] = append(came[r.URL.Path], r.Header)
		if r.URL.Path == "/up/later" && len(came[r.URL.Path]) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(backend.Close)
	l := newAttackLab(t)
	l.certified("gw.example")
	l.names.set("gw.example", []string{"127.0.0.1"})
	proxy := "reverse_proxy " + strings.TrimPrefix(backend.URL, "http://") + "\n"
	l.start("}\nservers {\ntrusted_proxies static private_ranges\n", "https://gw.example:{port2} {\n"+
		"tls {dir}/own.pem {dir}/own.key\nmatrix_push\n@lan client_ip private_ranges\n"+
		"handle /admin/* {\nhandle @lan {\n"+proxy+"}\nhandle {\nrespond 403\n}\n}\nhandle {\n"+proxy+"}\n}\n")
	client := l.gateway.client(false)
	client.Transport.(noting).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(sender)}}
		return from.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	site := "https://gw.example:" + strconv.Itoa(l.gateway.port2)
	post := func(event, path string) {
		t.Helper()
		body := alert(event, device{AppID: "org.example.phone", Pushkey: site + path})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, site+"/_matrix/push/v1/notify", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Forwarded-For", "10.0.0.1") // anybody can claim that
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		t.Logf("%s is answered %s", path, resp.Status)
	}
	headers := func(path string) []http.Header {
		mu.Lock()
		defer mu.Unlock()
		return append([]http.Header(nil), came[path]...)
	}
	post("$phone", "/up/phone")
	post("$later", "/up/later")
	post("$attack", "/admin/delete-everything")
	if !l.retried(func() bool { return len(headers("/up/later")) > 1 }) {
		t.Error("a push that failed at first does not arrive")
	}
	for _, path := range []string{"/up/phone", "/up/later"} {
		if len(headers(path)) == 0 {
			t.Errorf("nothing arrives at %s", path)
		}
		for n, h := range headers(path) {
			if first, _, _ := strings.Cut(h.Get("X-Forwarded-For"), ","); first != sender {
				t.Errorf("push %d to %s is from %q, want %s", n, path, h.Get("X-Forwarded-For"), sender)
			}
		}
	}
	if n := len(headers("/admin/delete-everything")); n > 0 {
		t.Errorf("%d pushes reach paths that are only for clients in the network", n)
	}
}
